/** What a processor says of itself. Section 6 of the specification. */
import { z } from 'zod'
import { LetheError } from '../../../../base/errors/index.ts'
import { type HttpSide, requestVendor } from '../../../../base/calls/index.ts'
import type { IdentityRule } from './requests.ts'

const discoveryBody = z.looseObject({
  supported_identities: z.array(z.looseObject({ identity_type: z.string(), identity_format: z.string() })),
  supported_subject_request_types: z.array(z.string()),
})

/** Throws E_STORE_REFUSED where it doesn't erase, or doesn't know one of these identities. */
export async function requireDiscovery(
  side: HttpSide,
  identities: readonly IdentityRule[],
  signal: AbortSignal,
): Promise<void> {
  const answer = await requestVendor(side, 'discover', { method: 'GET', path: '/discovery' }, signal)
  const parsed = discoveryBody.safeParse(answer.body)
  if (!parsed.success) throw unable(side.store, "says of itself what is not the protocol's")
  const { supported_subject_request_types: types, supported_identities: known } = parsed.data
  if (!types.includes('erasure')) throw unable(side.store, 'does not take requests of erasure')
  const missing = identities.find(
    ({ type, format }) =>
      !known.some((identity) => identity.identity_type === type && identity.identity_format === format),
  )
  if (missing !== undefined) throw unable(side.store, `does not know ${missing.type} as ${missing.format}`)
}

function unable(store: string, why: string): LetheError {
  return new LetheError('E_STORE_REFUSED', {
    message: `The processor ${store} ${why}.`,
    next: "Compare the store's identities and address with what the processor publishes at /discovery.",
    facts: { store },
  })
}
