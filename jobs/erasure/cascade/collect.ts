/** What leads to the persons of requests, read while the rows that hold it are there. */
import { collectIdentifiers, findByIdentifier, type Collected } from '../../../lib/data/rows/index.ts'
import type { Identifiers } from '../../../lib/data/datamap/index.ts'
import { sealSecrets, type ErasureRequest, type Secrets } from '../../../lib/record/requests/index.ts'
import type { House } from './house.ts'
import { wantedOf } from '../plans.ts'

export interface Opened {
  request: ErasureRequest
  secrets: Secrets
}

/** One finding a request, in their order. */
export async function collect(
  house: House,
  opened: readonly Pick<Opened, 'secrets'>[],
): Promise<Collected[]> {
  const plan = await house.plan([])
  const found = await collectIdentifiers(
    house.target,
    plan,
    opened.map(({ secrets }) => secrets.key),
    wantedOf(house.subject),
  )
  return found.map((one, place) => {
    const written = opened[place]?.secrets.written ?? []
    const own = Object.fromEntries(plan.key.map(({ name }, i) => [name, written.slice(i, i + 1)] as const))
    return { ...one, identifiers: together(one.identifiers, own) }
  })
}

/**
 * What leads to a person now, with what led there before: at the access cut, or before a hold or another map. A value that
 * leads to somebody else by now is theirs.
 */
export async function withFormer(
  house: House,
  found: Collected,
  { ended = {}, identifiers = {} }: Secrets,
): Promise<Record<string, string[]>> {
  const former = together(ended, identifiers)
  const known = together(found.identifiers)
  const own = new Set(found.keys.map((key) => key.join('\0')))
  for (const [name, values] of Object.entries(former)) {
    const declared = house.subject.identifiers[name]
    for (const value of values) {
      if (known[name]?.includes(value) === true) continue
      const owners =
        declared?.unique === true
          ? await findByIdentifier(house.target, await house.plan([]), declared.sql, value)
          : []
      if (owners.every((key) => own.has(key.join('\0')))) known[name] = [...(known[name] ?? []), value]
    }
  }
  return known
}

export async function seal(house: House, opened: readonly Opened[]): Promise<void> {
  await sealSecrets(
    house.context.control,
    house.context.keystore,
    opened.map(({ request, secrets }) => ({ requestId: request.id, secrets })),
    house.context.config.file.erasure.keep_identifiers,
  )
}

/** Each value once. */
export function together(...all: readonly Identifiers[]): Record<string, string[]> {
  const names = [...new Set(all.flatMap((one) => Object.keys(one)))]
  return Object.fromEntries(
    names.map((name) => [name, [...new Set(all.flatMap((one) => one[name] ?? []))]] as const),
  )
}
