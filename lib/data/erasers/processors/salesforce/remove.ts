/**
 * Records deleted by their ids, each on its own: a refusal of one leaves the others.
 * https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_sobjects_collections_delete.htm
 */
import { z } from 'zod'
import { BASE, type Ask } from './client.ts'
import type { SalesforceObject } from './plan.ts'

/** Records that one call takes. */
export const PER_CALL = 200

/** One for each id, in their order: null where it is gone, else the code of the refusal. */
export async function remove(
  ask: Ask,
  { name }: SalesforceObject,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<(string | null)[]> {
  const path = `${BASE}/composite/sobjects?ids=${ids.join(',')}&allOrNone=false`
  return ask(`delete records of ${name}`, outcomes(ids), { method: 'DELETE', path }, signal)
}

/** What stands in the body of a 200, record by record; a refusal's message quotes names of records. */
export function outcomes(ids: readonly string[]): z.ZodType<(string | null)[]> {
  return z
    .array(z.object({ success: z.boolean(), errors: z.array(z.object({ statusCode: z.string() })) }))
    .length(ids.length)
    .transform((results) =>
      results.map(({ success, errors }) => {
        const code = errors[0]?.statusCode ?? 'UNKNOWN'
        // Gone since it was found: with a record deleted before it, or by an attempt whose answer was lost.
        if (success || code === 'ENTITY_IS_DELETED') return null
        return /^[A-Z_]{1,64}$/.test(code) ? code : 'UNKNOWN'
      }),
    )
}
