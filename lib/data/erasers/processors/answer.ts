/** What a vendor answered, held against what it documents. */
import type { z } from 'zod'
import { LetheError } from '../../../base/errors/index.ts'
import type { Side } from '../../../base/calls/index.ts'

/** Throws E_STORE_UNAVAILABLE for another form: a page of a gateway or of maintenance, not what was asked for. */
export function readAnswer<T>({ store, vendor }: Side, what: string, form: z.ZodType<T>, body: unknown): T {
  const read = form.safeParse(body)
  if (read.success) return read.data
  // Only the places: what stands there may name somebody.
  const places = [...new Set(read.error.issues.map(({ path }) => path.filter(isName).join('.')))]
  throw new LetheError('E_STORE_UNAVAILABLE', {
    message: `${vendor} (${store}) answered in another form than it documents: ${what}.`,
    left: 'What was done by the calls before this one stays done; all of them may be made again.',
    facts: { store, places: places.slice(0, 10) },
  })
}

function isName(part: PropertyKey): part is string {
  return typeof part === 'string' && /^[a-z_]{1,40}$/i.test(part)
}
