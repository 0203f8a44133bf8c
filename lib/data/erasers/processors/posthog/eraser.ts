/** PostHog: persons, with their events and recordings, which go in the days that follow. */
import { z } from 'zod'
import type { ErasePage, Eraser, SubjectRef } from '../../eraser.ts'
import { Findings } from '../../findings.ts'
import { refuseAstray, sentenceOf, valuesOf, type Values } from '../values.ts'
import { posthogClient, query, type PosthogOptions, type Post } from './client.ts'
import {
  eventsByDistinctId,
  eventsByEmail,
  PER_DELETION,
  personsByDistinctId,
  personsByEmail,
  removePersons,
  type Match,
} from './persons.ts'

/** At least one of them. */
export interface PosthogPlan {
  /** The identifier that holds distinct ids. */
  distinctId?: string
  /** The identifier that holds addresses, as in the person property `email`. */
  email?: string
}

/** PostHog Cloud deletes events on weekends: the next one may be a week away. */
const SETTLE_DAYS = 9

/**
 * Nothing tells when a person's events are gone but the events themselves, so that a finding before the settling time is
 * over says nothing. Events whose person went without them can't be deleted by any call: `verify` finds them left.
 */
export function posthogEraser(options: PosthogOptions): Eraser<PosthogPlan> {
  const post = posthogClient(options)
  const { store } = options
  return {
    store,
    capabilities: {
      bulk: 1000,
      ratePerMinute: 20,
      reversible: false,
      verifiable: true,
      sideEffects: [
        'events and recordings are deleted when PostHog has time for it, on Cloud on weekends',
        'a distinct id can be used again only once it has been reset',
        "recordings, and events under a distinct id that the team doesn't know, are deleted but not read back",
        'copies that batch exports, destinations and a warehouse got stay',
      ],
      irreversibleAfter: 'the call',
      settleSeconds: SETTLE_DAYS * 86_400,
      follows: 'PostHog API, 2026-10',
    },
    async probe(_plan, signal) {
      await personsByDistinctId(post, ['lethe-probe'], signal)
      await query(post, 'try a query', z.unknown(), 'SELECT 1', {}, signal)
    },
    async locate(subjects, plan, signal) {
      const wanted = wantedOf(subjects, plan)
      signal.throwIfAborted()
      refuseAstray(store, wanted.astray.size)
      const persons = await personsOf(post, wanted, signal)
      return { counts: persons.size === 0 ? {} : { persons: persons.size } }
    },
    async erase(subjects, plan, { limit }, signal) {
      const wanted = wantedOf(subjects, plan)
      signal.throwIfAborted()
      const persons = await personsOf(post, wanted, signal)
      const page = await erasePersons(post, [...persons.keys()], limit, signal)
      const messages = wanted.astray.size === 0 ? [] : [sentenceOf(store, wanted.astray.size)]
      return { ...page, messages: [...messages, ...page.messages] }
    },
    async verify(subjects, plan, signal) {
      const wanted = wantedOf(subjects, plan)
      signal.throwIfAborted()
      refuseAstray(store, wanted.astray.size)
      const persons = await personsOf(post, wanted, signal)
      const events = await eventsOf(post, wanted, subjects.length, signal)
      const findings = new Findings(subjects.length)
      for (const places of persons.values()) for (const place of places) findings.left(place, 'persons')
      for (const [place, count] of events.entries()) findings.left(place, 'events', count)
      return findings.each()
    },
  }
}

async function erasePersons(
  post: Post,
  ids: readonly string[],
  limit: number,
  signal: AbortSignal,
): Promise<ErasePage> {
  let at = 0
  let removed = 0
  let refused = 0
  let unqueued = false
  while (at < ids.length && removed < limit) {
    const turn = ids.slice(at, at + Math.min(PER_DELETION, limit - removed))
    at += turn.length
    const outcome = await removePersons(post, turn, signal)
    removed += outcome.removed
    refused += outcome.refused
    unqueued ||= outcome.unqueued
  }
  const messages = [
    ...(removed > 0 ? [`Events and recordings of ${removed} persons go in the days that follow.`] : []),
    ...(refused > 0 ? [`${refused} persons could not be deleted (deletion_errors).`] : []),
    ...(unqueued ? ['PostHog did not queue events or recordings of some persons for deletion.'] : []),
  ]
  return {
    removed: removed === 0 ? {} : { persons: removed },
    retained: [],
    pending: [],
    messages,
    more: at < ids.length,
  }
}

interface Wanted {
  ids: Values['subjectsOf']
  emails: Values['subjectsOf']
  astray: ReadonlySet<number>
}

function wantedOf(subjects: readonly SubjectRef[], plan: PosthogPlan): Wanted {
  const ids = valuesOf(subjects, plan.distinctId)
  const emails = valuesOf(subjects, plan.email, (email) => email.trim().toLowerCase() || null)
  return {
    ids: ids.subjectsOf,
    emails: emails.subjectsOf,
    astray: new Set([...ids.astray, ...emails.astray]),
  }
}

/** By a person's own id: places in the list of subjects. */
async function personsOf(
  post: Post,
  { ids, emails }: Wanted,
  signal: AbortSignal,
): Promise<Map<string, Set<number>>> {
  const persons = new Map<string, Set<number>>()
  const add = (matches: readonly Match[], subjectsOf: Values['subjectsOf']) => {
    for (const { person, value } of matches)
      persons.set(person, new Set([...(persons.get(person) ?? []), ...(subjectsOf.get(value) ?? [])]))
  }
  add(await personsByDistinctId(post, [...ids.keys()], signal), ids)
  add(await personsByEmail(post, [...emails.keys()], signal), emails)
  return persons
}

/** At least so many of each subject: an event found by its distinct id and by an address counts once. */
async function eventsOf(
  post: Post,
  { ids, emails }: Wanted,
  subjects: number,
  signal: AbortSignal,
): Promise<number[]> {
  const byId = perSubject(await eventsByDistinctId(post, [...ids.keys()], signal), ids, subjects)
  const byEmail = perSubject(await eventsByEmail(post, [...emails.keys()], signal), emails, subjects)
  return byId.map((count, place) => Math.max(count, byEmail[place] ?? 0))
}

function perSubject(
  counts: ReadonlyMap<string, number>,
  subjectsOf: Values['subjectsOf'],
  subjects: number,
): number[] {
  const found = Array.from({ length: subjects }, () => 0)
  for (const [value, count] of counts)
    for (const place of subjectsOf.get(value) ?? []) found[place] = (found[place] ?? 0) + count
  return found
}
