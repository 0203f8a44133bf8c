/** Marketing contacts: found by address, deleted by id in a job on SendGrid's side (Marketing Campaigns API, Contacts). */
import { z } from 'zod'
import { slices } from '../../../../base/slices/index.ts'
import { sendSplit } from '../split.ts'
import { jobId } from '../resume.ts'
import { askSendgrid, type SendgridSide } from './client.ts'

export interface Contact {
  id: string
  /** Whether the address is the contact's own. Another's contact may hold it as an alternate one. */
  own: boolean
}

export interface Search {
  /** By address, lower case. */
  found: Map<string, Contact>
  /** Addresses, lower case, that SendGrid does not search for. */
  refused: Set<string>
}

/** Of one call of the search. */
const ADDRESSES = 100
/** Of one deletion: the ids stand in the address of the request. */
const IDS = 100

const searched = z.object({
  result: z.record(
    z.string(),
    z.object({
      contact: z.object({ id: z.string().min(1), email: z.string().nullish() }).optional(),
      error: z.string().optional(),
    }),
  ),
})

export async function searchContacts(
  side: SendgridSide,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<Search> {
  const asked = new Set(addresses.map((address) => address.toLowerCase()))
  const found = new Map<string, Contact>()
  const refused = new Set<string>()
  // These endpoints don't know on-behalf-of: they would answer for the account above, as if the subuser had nobody.
  if (side.options.subuser !== undefined) return { found, refused }
  for (const piece of slices([...asked], ADDRESSES)) {
    const bad = await sendSplit(piece, async (emails) => {
      const ask = { method: 'POST', path: '/v3/marketing/contacts/search/emails', body: { emails } } as const
      const answer = await askSendgrid(side, 'search contacts', ask, searched, signal)
      for (const [address, { contact }] of Object.entries(answer?.result ?? {})) {
        const key = address.toLowerCase()
        // Only what was asked for: an id that came along for any other reason would be deleted.
        if (contact === undefined || !asked.has(key)) continue
        const primary = contact.email?.toLowerCase() ?? ''
        found.set(key, { id: contact.id, own: primary === '' || asked.has(primary) })
      }
    })
    for (const address of bad) refused.add(address)
  }
  return { found, refused }
}

export interface Deletion {
  /** Ids of SendGrid's jobs. */
  jobs: string[]
  accepted: number
  refused: number
}

const started = z.object({ job_id: jobId })

export async function deleteContacts(
  side: SendgridSide,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<Deletion> {
  const deletion: Deletion = { jobs: [], accepted: 0, refused: 0 }
  for (const piece of slices(ids, IDS)) {
    const bad = await sendSplit(piece, async (some) => {
      const ask = {
        method: 'DELETE',
        path: '/v3/marketing/contacts',
        query: { ids: some.join(',') },
      } as const
      const answer = await askSendgrid(side, 'delete contacts', ask, started, signal)
      if (answer !== null) deletion.jobs.push(answer.job_id)
      deletion.accepted += some.length
    })
    deletion.refused += bad.length
  }
  return deletion
}

const state = z.object({ status: z.enum(['pending', 'completed', 'errored', 'failed']) })

/** Deletions are asked for where imports are. "unknown": SendGrid has forgotten it, or never had it. */
export async function lookAtDeletion(
  side: SendgridSide,
  id: string,
  signal: AbortSignal,
): Promise<z.infer<typeof state>['status'] | 'unknown'> {
  const ask = { method: 'GET', path: `/v3/marketing/contacts/imports/${encodeURIComponent(id)}` } as const
  const answer = await askSendgrid(side, 'look at a deletion of contacts', ask, state, signal)
  return answer?.status ?? 'unknown'
}
