/** Counts documents, of the primary copies and after a refresh: what is left out would pass for gone. */
import { z } from 'zod'
import { slices } from '../../../../base/slices/index.ts'
import type { Client } from './client.ts'
import type { Wanted } from './plan.ts'

/** Values that one query takes; a server refuses more than 65,536. */
const VALUES = 10_000
/** Subjects that are told apart by one search. */
const SUBJECTS = 100

/** One query's part of what is wanted in one index. */
export interface Piece {
  place: string
  index: string
  query: { terms: Record<string, readonly string[]> }
}

/** What a copy that failed would have said is missing from the answer: it is none. */
const shards = z.looseObject({ failed: z.literal(0) })
const refreshed = z.looseObject({ _shards: shards })
const counted = z.looseObject({ _shards: shards, count: z.number().int() })
const searched = z.looseObject({
  _shards: shards,
  timed_out: z.literal(false),
  aggregations: z.looseObject({
    by: z.looseObject({ buckets: z.record(z.string(), z.looseObject({ doc_count: z.number().int() })) }),
  }),
})

export function piecesOf(wanted: readonly Wanted[]): Piece[] {
  return wanted.flatMap(({ field: { place, indices }, values }) => {
    const all = [...new Set([...values.values()].flat())]
    const queries = slices(all, VALUES).map((part) => ({ terms: { [place.field]: part } }))
    return indices.flatMap((index) => queries.map((query) => ({ place: place.name, index, query })))
  })
}

export async function refresh(client: Client, indices: Iterable<string>, signal: AbortSignal): Promise<void> {
  const what = 'refresh an index'
  for (const index of new Set(indices)) {
    const { body } = await client.ask(what, { method: 'POST', path: `/${index}/_refresh` }, signal)
    if (!refreshed.safeParse(body).success) throw client.unreadable(what)
  }
}

export async function countPiece(
  client: Client,
  { index, query }: Piece,
  signal: AbortSignal,
): Promise<number> {
  const what = 'count documents'
  const path = `/${index}/_count?preference=_primary`
  const { body } = await client.ask(what, { method: 'POST', path, body: { query } }, signal)
  const answer = counted.safeParse(body)
  if (!answer.success) throw client.unreadable(what)
  return answer.data.count
}

/** Documents in one place, by the subject's position in the call. */
export async function countEach(
  client: Client,
  { field: { place }, values }: Wanted,
  signal: AbortSignal,
): Promise<Map<number, number>> {
  const what = 'count documents by subject'
  const counts = new Map<number, number>()
  for (const part of slices([...values], SUBJECTS)) {
    const filters = Object.fromEntries(
      part.map(([subject, texts]) => [`s${subject}`, { terms: { [place.field]: texts } }]),
    )
    const body = {
      size: 0,
      query: { bool: { should: Object.values(filters), minimum_should_match: 1 } },
      aggs: { by: { filters: { filters } } },
    }
    const path = `/${place.index}/_search?preference=_primary&allow_partial_search_results=false`
    const answer = searched.safeParse((await client.ask(what, { method: 'POST', path, body }, signal)).body)
    if (!answer.success) throw client.unreadable(what)
    for (const [subject] of part) {
      const bucket = answer.data.aggregations.by.buckets[`s${subject}`]
      if (bucket === undefined) throw client.unreadable(what)
      counts.set(subject, bucket.doc_count)
    }
  }
  return counts
}
