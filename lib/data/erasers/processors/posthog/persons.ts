/** Persons: found by what the team knows of them, deleted with their events and recordings. */
import { z } from 'zod'
import { slices } from '../../../../base/slices/index.ts'
import { query, type Post } from './client.ts'

/** Distinct ids that one look-up takes; PostHog silently drops more. */
const PER_LOOKUP = 200
/** Addresses a query. */
const PER_QUERY = 500
/** Persons that one deletion takes. */
export const PER_DELETION = 1000

const uuid = z.string().regex(/^[0-9a-f-]{36}$/i)

export interface Match {
  person: string
  /** What led to the person, as it was asked for. */
  value: string
}

export async function personsByDistinctId(
  post: Post,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<Match[]> {
  const form = z.object({ results: z.record(z.string(), z.object({ uuid }).nullable()) })
  const matches: Match[] = []
  for (const distinct_ids of slices(ids, PER_LOOKUP)) {
    const body = { distinct_ids }
    const { results } = await post(
      'find persons by distinct id',
      form,
      '/persons/batch_by_distinct_ids/',
      body,
      signal,
    )
    for (const value of distinct_ids) {
      const found = Object.hasOwn(results, value) ? results[value] : null
      if (found) matches.push({ person: found.uuid, value })
    }
  }
  return matches
}

/** `emails` in lower case. PostHog's list finds one address a call, and only as it was written. */
export async function personsByEmail(
  post: Post,
  emails: readonly string[],
  signal: AbortSignal,
): Promise<Match[]> {
  const matches: Match[] = []
  const hogql =
    'SELECT id, lower(properties.email) FROM persons WHERE lower(properties.email) IN {emails} ORDER BY id LIMIT 50000'
  for (const values of slices(emails, PER_QUERY)) {
    const rows = await query(
      post,
      'find persons by email',
      z.tuple([uuid, z.string()]),
      hogql,
      { emails: values },
      signal,
    )
    for (const [person, value] of rows) matches.push({ person, value })
  }
  return matches
}

/** Events by distinct id, of persons who are gone too. Only what has any is named. */
export async function eventsByDistinctId(
  post: Post,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, number>> {
  return countEvents(
    post,
    ids,
    'SELECT distinct_id, count() FROM events WHERE distinct_id IN {values} GROUP BY distinct_id',
    signal,
  )
}

/** Events by the address that their person has, or had when they came in. */
export async function eventsByEmail(
  post: Post,
  emails: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const address = 'lower(person.properties.email)'
  return countEvents(
    post,
    emails,
    `SELECT ${address}, count() FROM events WHERE ${address} IN {values} GROUP BY ${address}`,
    signal,
  )
}

/**
 * PostHog queues the events and recordings, and by now the persons too; asked twice it queues once.
 * https://posthog.com/docs/api/persons
 */
export async function removePersons(
  post: Post,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<{ removed: number; refused: number; unqueued: boolean }> {
  const form = z.object({
    persons_found: z.number().int().nonnegative(),
    events_queued_for_deletion: z.boolean(),
    recordings_queued_for_deletion: z.boolean(),
    deletion_errors: z.array(z.unknown()).default([]),
  })
  const body = { ids, delete_events: true, delete_recordings: true, keep_person: false }
  const answer = await post('delete persons', form, '/persons/bulk_delete/', body, signal)
  const refused = Math.min(answer.deletion_errors.length, ids.length)
  return {
    removed: Math.max(0, Math.min(answer.persons_found, ids.length) - refused),
    refused,
    unqueued:
      answer.persons_found > 0 &&
      !(answer.events_queued_for_deletion && answer.recordings_queued_for_deletion),
  }
}

async function countEvents(
  post: Post,
  values: readonly string[],
  hogql: string,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  const row = z.tuple([z.string(), z.coerce.number().int().nonnegative()])
  for (const slice of slices(values, PER_QUERY))
    for (const [value, count] of await query(
      post,
      'count events',
      row,
      `${hogql} LIMIT ${PER_QUERY}`,
      { values: slice },
      signal,
    ))
      counts.set(value, count)
  return counts
}
