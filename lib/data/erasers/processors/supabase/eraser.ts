/** Supabase Auth: users deleted for good, with their identities, sessions, refresh tokens and factors. */
import { tally } from '../../../../base/counts/index.ts'
import type { ErasePage, Eraser, SubjectRef } from '../../eraser.ts'
import { Findings } from '../../findings.ts'
import { abreast } from '../../../../base/slices/index.ts'
import { refuseAstray, sentenceOf, valuesOf } from '../values.ts'
import { supabaseClient, type Supabase, type SupabaseOptions } from './client.ts'
import { idsByEmail, isThere, readPage, removeUser } from './users.ts'

/** At least one of them; an address costs reading all users of the project. */
export interface SupabasePlan {
  /** The identifier that holds users' ids. */
  user?: string
  /** The identifier that holds addresses. */
  email?: string
}

const PLACE = 'users'
/** Calls under way at once. */
const ABREAST = 4

/** A session ends with its user, in one transaction; only a JWT already handed out outlives it. */
export function supabaseEraser(options: SupabaseOptions): Eraser<SupabasePlan> {
  const supabase = supabaseClient(options)
  const { store } = options
  return {
    store,
    capabilities: {
      bulk: 1000,
      ratePerMinute: null,
      reversible: false,
      verifiable: true,
      sideEffects: [
        'an access token handed out before stays valid until it expires (an hour by default); row-level security sees a user who is gone',
        "rows of the project's own tables that refer to the user go, or keep the user from going, as their foreign keys say",
        'Supabase notes the deletion with the address in auth.audit_log_entries, where that log is on',
        'files in Supabase Storage stay',
      ],
      irreversibleAfter: 'the call; copies in backups until they expire',
      settleSeconds: 0,
      follows: 'Supabase Auth v2, 2026-08',
    },
    async probe(_plan, signal) {
      await readPage(supabase, { page: 1, perPage: 1 }, signal)
    },
    async locate(subjects, plan, signal) {
      const there = await present(supabase, subjects, plan, signal)
      return { counts: there.size === 0 ? {} : { [PLACE]: there.size } }
    },
    async erase(subjects, plan, { limit }, signal) {
      signal.throwIfAborted()
      const { users, astray } = await candidates(supabase, subjects, plan, signal)
      const page = await eraseUsers(supabase, [...users.keys()], limit, signal)
      const messages = astray.size === 0 ? [] : [sentenceOf(store, astray.size)]
      return { ...page, messages: [...messages, ...page.messages] }
    },
    async verify(subjects, plan, signal) {
      const there = await present(supabase, subjects, plan, signal)
      const findings = new Findings(subjects.length)
      for (const places of there.values()) for (const place of places) findings.left(place, PLACE)
      return findings.each()
    },
  }
}

async function eraseUsers(
  supabase: Supabase,
  ids: readonly string[],
  limit: number,
  signal: AbortSignal,
): Promise<ErasePage> {
  let at = 0
  let removed = 0
  let refused = 0
  while (at < ids.length && removed < limit) {
    const turn = ids.slice(at, at + Math.min(ABREAST, limit - removed))
    at += turn.length
    const outcomes = tally(await abreast(turn, ABREAST, (id) => removeUser(supabase, id, signal)))
    removed += outcomes['removed'] ?? 0
    refused += outcomes['refused'] ?? 0
  }
  return {
    removed: removed === 0 ? {} : { [PLACE]: removed },
    retained: [],
    pending: [],
    messages:
      refused === 0
        ? []
        : [
            `${refused} of users refused by the database (500): most often a foreign key points at auth.users without ON DELETE, or the user owns files in Storage.`,
          ],
    more: at < ids.length,
  }
}

interface Candidates {
  /** By user id: places in the list of subjects. An id of the plan's may be of nobody. */
  users: Map<string, Set<number>>
  /** Of `users`, those that a listing has just shown. */
  listed: ReadonlySet<string>
  astray: ReadonlySet<number>
}

async function candidates(
  supabase: Supabase,
  subjects: readonly SubjectRef[],
  plan: SupabasePlan,
  signal: AbortSignal,
): Promise<Candidates> {
  const users = new Map<string, Set<number>>()
  const add = (id: string, places: readonly number[]) =>
    users.set(id, new Set([...(users.get(id) ?? []), ...places]))
  const byId = valuesOf(subjects, plan.user, uuid)
  const byEmail = valuesOf(subjects, plan.email, (email) => email.trim().toLowerCase() || null)
  for (const [id, places] of byId.subjectsOf) add(id, places)
  const listed = new Set<string>()
  if (byEmail.subjectsOf.size > 0)
    for (const [email, ids] of await idsByEmail(supabase, new Set(byEmail.subjectsOf.keys()), signal))
      for (const id of ids) {
        listed.add(id)
        add(id, byEmail.subjectsOf.get(email) ?? [])
      }
  return { users, listed, astray: new Set([...byId.astray, ...byEmail.astray]) }
}

/** Users that are there, by id. Throws E_IDENTIFIER where a subject can't be looked for. */
async function present(
  supabase: Supabase,
  subjects: readonly SubjectRef[],
  plan: SupabasePlan,
  signal: AbortSignal,
): Promise<Map<string, Set<number>>> {
  signal.throwIfAborted()
  const { users, listed, astray } = await candidates(supabase, subjects, plan, signal)
  refuseAstray(supabase.side.store, astray.size)
  const unsure = [...users.keys()].filter((id) => !listed.has(id))
  const found = await abreast(unsure, ABREAST, (id) => isThere(supabase, id, signal))
  for (const [turn, id] of unsure.entries()) if (found[turn] === false) users.delete(id)
  return users
}

/** Auth answers 404 to what is no UUID: it would pass for absent. */
function uuid(value: string): string | null {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value) ? value.toLowerCase() : null
}
