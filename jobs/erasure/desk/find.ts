/** Applications know a request by an id of their own: what it leads to, and what became of it where it leads nowhere yet. */
import { z } from 'zod'
import { LetheError } from '../../../lib/base/errors/index.ts'
import {
  intakeOf,
  joinedBy,
  requestExists,
  type AskedByApplication,
} from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { rootFor } from '../plans.ts'

export interface FoundRequest {
  id: string
  /** The id that was given, where it is another: what was asked for under it joined this request. */
  joinedAs: string | null
}

/** Throws E_NOT_FOUND, which says so where an application asked and it was refused, or was not taken in yet. */
export async function findRequest(context: Context, given: string): Promise<FoundRequest> {
  const parsed = z.uuid().toLowerCase().safeParse(given)
  if (!parsed.success) throw unknown(given, [])
  const asked = parsed.data
  const id = await joinedBy(context.control, asked)
  if (id !== asked) return { id, joinedAs: asked }
  if (await requestExists(context.control, asked)) return { id, joinedAs: null }
  const silent: string[] = []
  for (const store of new Set(Object.values(context.config.file.subjects).map((one) => one.store))) {
    const found = await askedIn(context, store, asked)
    if (found === 'unknown') silent.push(store)
    else if (found !== undefined) throw await notARequest(context, asked, store, found)
  }
  throw unknown(asked, silent)
}

/** 'unknown': the store is away, or whoever asks may not read it. */
async function askedIn(
  context: Context,
  store: string,
  id: string,
): Promise<AskedByApplication | undefined | 'unknown'> {
  try {
    return await intakeOf(await context.target(store), id)
  } catch (error) {
    if (error instanceof LetheError) return 'unknown'
    throw error
  }
}

function unknown(id: string, silent: readonly string[]): LetheError {
  return new LetheError('E_NOT_FOUND', {
    message: `There is no erasure request ${id}${silent.length === 0 ? '' : `; whether an application asked under it, store ${silent.join(', ')} did not say`}.`,
    next: 'See `lethe erasure list`.',
  })
}

async function notARequest(
  context: Context,
  id: string,
  store: string,
  { verb, subject, actor, at, due, refused, failing }: AskedByApplication,
): Promise<LetheError> {
  const asked = `What app:${actor} asked for as ${id} on ${day(at)} (${verb})`
  if (refused !== null)
    return new LetheError('E_NOT_FOUND', {
      message: `${asked} was refused: ${refused}. It made no request, and nothing was erased by it.`,
      next: `runbooks/errors.md says what ${refused} means; the application asks again.`,
      facts: { intake: id, refused },
    })
  const problem = verb === 'request' && subject !== null ? await problemOf(context, store, subject) : null
  const why = problem ?? failing
  return new LetheError('E_NOT_FOUND', {
    message: `${asked} is written down in store ${store} and not taken in yet${why === null ? '' : `: ${why}`}.`,
    left: `It stays there, and its clock runs: the answer is due ${day(due)}.`,
    next:
      why === null
        ? 'Is a process with the role erasure running? It takes it in within seconds.'
        : 'Mend what that says (lethe doctor, lethe datamap check); it is taken in by itself then.',
    facts: { intake: id, due: due.toISOString() },
  })
}

/** Why a worker can't take in what is asked for such a person; null: nothing is known. */
async function problemOf(context: Context, store: string, subject: string): Promise<string | null> {
  try {
    await rootFor(context, store, subject)
    return null
  } catch (error) {
    if (error instanceof LetheError) return `${error.code}, ${error.message.replace(/\.$/u, '')}`
    throw error
  }
}

function day(at: Date): string {
  return at.toISOString().slice(0, 10)
}
