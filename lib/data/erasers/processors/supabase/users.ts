/** Users of a project: read, found by their addresses, deleted. https://supabase.com/docs/reference/javascript/auth-admin-api */
import { z } from 'zod'
import { LetheError } from '../../../../base/errors/index.ts'
import { readAnswer } from '../answer.ts'
import type { Supabase } from './client.ts'

const PER_PAGE = 1000
const LISTINGS = 3

const user = z.object({ id: z.string(), email: z.string().nullish() })
// Without a total a list can't be known to be whole.
const page = z
  .object({ users: z.array(user), total: z.number().int().nonnegative() })
  .refine(({ users, total }) => total >= users.length)

export async function isThere(supabase: Supabase, id: string, signal: AbortSignal): Promise<boolean> {
  const what = 'look for a user'
  const found = await supabase.ask(what, (admin) => admin.getUserById(id), signal)
  if (found === null) return false
  return (
    readAnswer(supabase.side, what, z.object({ user: z.object({ id: z.literal(id) }) }), found).user.id === id
  )
}

/**
 * Ids by address (in lower case), of those asked for: there is no way to ask for one, so every user is read, a thousand a
 * call. Pages are counted off from the newest user, so that a deletion meanwhile hides one: a listing that saw fewer than
 * there were is made again. Throws E_STORE_UNAVAILABLE where users go too fast for that.
 */
export async function idsByEmail(
  supabase: Supabase,
  wanted: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Map<string, string[]>> {
  for (let listing = 1; listing <= LISTINGS; listing++) {
    const { ids, whole } = await readAll(supabase, wanted, signal)
    if (whole) return ids
  }
  throw new LetheError('E_STORE_UNAVAILABLE', {
    message: `Supabase (${supabase.side.store}) deleted users while they were listed, each of ${LISTINGS} times: nobody can be said to be absent.`,
    facts: { store: supabase.side.store },
  })
}

/** 'refused': the database refused, which it does for a reference to the user that says nothing about deletion. */
export async function removeUser(
  supabase: Supabase,
  id: string,
  signal: AbortSignal,
): Promise<'removed' | 'absent' | 'refused'> {
  const outcome = await supabase.ask(
    'delete a user',
    async (admin) => {
      // Never the soft one: it keeps a row, and a hash that whoever knows the address can confirm.
      const { error } = await admin.deleteUser(id, false)
      if (error?.status === 500) return { data: 'refused' as const, error: null }
      return error === null ? { data: 'removed' as const, error } : { data: null, error }
    },
    signal,
  )
  return outcome ?? 'absent'
}

export async function readPage(
  supabase: Supabase,
  params: { page: number; perPage: number },
  signal: AbortSignal,
): Promise<z.infer<typeof page>> {
  const what = 'list users'
  return readAnswer(
    supabase.side,
    what,
    page,
    await supabase.ask(what, (admin) => admin.listUsers(params), signal),
  )
}

async function readAll(
  supabase: Supabase,
  wanted: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<{ ids: Map<string, string[]>; whole: boolean }> {
  const ids = new Map<string, string[]>()
  const seen = new Set<string>()
  let first = 0
  // The client's own word for the next page has one digit.
  for (let number = 1; ; number++) {
    const { users, total } = await readPage(supabase, { page: number, perPage: PER_PAGE }, signal)
    if (number === 1) first = total
    for (const { id, email } of users) {
      const address = email?.toLowerCase() ?? ''
      if (wanted.has(address) && !seen.has(id)) ids.set(address, [...(ids.get(address) ?? []), id])
      seen.add(id)
    }
    if (users.length === 0 || seen.size >= first) return { ids, whole: seen.size >= first }
  }
}
