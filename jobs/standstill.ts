/** What keeps every erasure request of one kind of subject where it is, whatever each of them waits for. */
import { otherStore } from '../lib/data/datamap/index.ts'
import { listStops, type Stop } from '../lib/record/holds/index.ts'
import { lastSeen, stoppedScopes, type StoppedScope } from '../lib/record/ledger/index.ts'
import type { Context } from './context.ts'

/** The kind of the runs that work requests off; their scope is a kind of subject. */
export const CASCADE = 'erasure.cascade'

/** Findings that a sentence names; `lethe datamap check` names all. */
const MANY = 5

export interface Standstill {
  /** The run of this kind of subject that fails, with its code; null where none does. */
  stopped: Pick<StoppedScope, 'since' | 'code' | 'message'> | null
  /** Roles that no living process has. `seenAt` is null where the last one ended in order. */
  absent: { role: string; seenAt: Date | null }[]
  /** What is so and what mends it, in sentences. */
  words: string
}

/** Only reads. Null: requests go on. */
export async function standstillOf(context: Context, kind: string): Promise<Standstill | null> {
  const { control, config } = context
  const stopped = (await stoppedScopes(control, CASCADE)).find(({ scope }) => scope === kind) ?? null
  const absent = (await lastSeen(control, ['dispatcher', 'erasure']))
    .filter(({ alive }) => !alive)
    .map(({ role, at }) => ({ role, seenAt: at }))
  const own = config.file.subjects[kind]
  const stores = [own?.store, ...(own?.other_stores ?? []).map((entry) => otherStore(entry).store)]
  const stops = (await listStops(control)).filter(
    ({ scope, name }) => scope === 'store' && stores.includes(name),
  )
  if (stopped === null && absent.length === 0 && stops.length === 0) return null
  const sentences = [
    ...stops.map(stopWords),
    ...(absent.length === 0 ? [] : [absentWords(absent)]),
    ...(stopped === null ? [] : [stoppedWords(stopped, config.file.subjects[kind]?.store ?? '')]),
  ]
  return {
    stopped: stopped && { since: stopped.since, code: stopped.code, message: stopped.message },
    absent,
    words: sentences.join(' '),
  }
}

/** In words, for whoever looks at what does not go on. */
export function stopWords({ scope, name, since, actor }: Stop): string {
  return scope === 'store'
    ? `Store ${name} is stopped since ${instant(since)}, by ${actor}: nothing is destroyed in it, or for its subjects elsewhere. It goes on with: lethe resume ${name} --reason "WHY"`
    : `Policy ${name} is paused since ${instant(since)}, by ${actor}: nothing goes on that it began. It goes on with: lethe retention resume ${name}`
}

/** Of a failing run, with the command that lists what is to be mended. */
export function stoppedWords({ scope, since, code, message }: StoppedScope, store: string): string {
  const head = `every erasure of a ${scope} has stopped since ${instant(since)}`
  if (code === 'E_MAP_FINDINGS')
    return `The map of store ${store} has findings${namesOf(message)}, and ${head}: lethe datamap check ${store} lists each with its mend. Mended in lethe.yaml, start the workers again; mended in the database, it goes on by itself.`
  const [first = ''] = message.split('\n', 1)
  return `A worker fails, and ${head}: ${first} (${code}; runbooks/errors.md#${code.toLowerCase()}). It is tried again every five minutes, and at once when a worker starts.`
}

/** The refusal has a line for each finding, which begins with its id. */
function namesOf(message: string): string {
  const names = [...message.matchAll(/^ {2}(.+?): /gmu)].flatMap(([, name]) => name ?? [])
  const [shown, more] = [names.slice(0, MANY), names.length - MANY]
  if (shown.length === 0) return ''
  return ` (${shown.join(', ')}${more > 0 ? `, and ${more} more` : ''})`
}

function absentWords(absent: Standstill['absent']): string {
  const roles = absent.map(({ role }) => role)
  const seen = absent.flatMap(({ seenAt }) => seenAt ?? [])
  const last =
    seen.length === 0 ? '' : `; the last was seen ${instant(seen.reduce((a, b) => (a > b ? a : b)))}`
  return `No process runs with the role ${roles.join(' or ')}${last}: start one with lethe work ${roles.join(' ')}.`
}

/** `2026-11-21 03:30:00 UTC`. */
export function instant(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
