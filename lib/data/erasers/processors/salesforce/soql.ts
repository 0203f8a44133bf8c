/** SOQL: the text of a query, and its pages. */
import { z } from 'zod'
import { BASE, type Ask } from './client.ts'

/** A request's address and headers may have 16,384 bytes together. */
const ADDRESS_BYTES = 8000

/** https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_quotedstringescapes.htm */
export function quote(value: string): string {
  return `'${value.replace(/[\\'"]/g, '\\$&')}'`
}

/** Values in pieces that each fit into the address of a query. */
export function pieces(values: Iterable<string>): string[][] {
  const found: string[][] = []
  let bytes = Infinity
  for (const value of values) {
    const size = encodeURIComponent(`${quote(value)},`).length
    if (bytes + size > ADDRESS_BYTES) {
      found.push([])
      bytes = 0
    }
    found.at(-1)?.push(value)
    bytes += size
  }
  return found
}

const more = z
  .string()
  .regex(/^\/services\/data\/v[\d.]+\/query(All)?\/[\w-]+$/)
  .optional()

/** Every record that the query finds, those in the recycle bin too (`IsDeleted`). */
export async function queryAll<T>(
  ask: Ask,
  what: string,
  record: z.ZodType<T>,
  soql: string,
  signal: AbortSignal,
): Promise<T[]> {
  const page = z.object({ done: z.boolean(), records: z.array(record), nextRecordsUrl: more })
  const records: T[] = []
  let path = `${BASE}/queryAll?q=${encodeURIComponent(soql)}`
  for (;;) {
    const answer = await ask(what, page, { method: 'GET', path }, signal)
    records.push(...answer.records)
    if (answer.done || answer.nextRecordsUrl === undefined) return records
    path = answer.nextRecordsUrl
  }
}
