/** One call of `erase`: a part of the addresses, or a look at what an earlier call started. */
import { tally } from '../../../../base/counts/index.ts'
import type { ErasePage, EraseRequest, Pending, Retained } from '../../eraser.ts'
import { readJob, writeJob, type Started } from '../resume.ts'
import type { Addresses } from './addresses.ts'
import type { SendgridSide } from './client.ts'
import { deleteContacts, lookAtDeletion, searchContacts } from './contacts.ts'
import { eraseMail } from './mail.ts'
import { deleteSuppressions, suppressionsOf, type Suppression } from './suppressions.ts'

/** An address on a list that we keep. */
export const KEPT =
  'kept so that no mail goes to this address again (objection to marketing, GDPR Art. 21(3)); deleted there, mail would be sent again'

const POLL_SECONDS = 60

export async function eraseAddresses(
  side: SendgridSide,
  addresses: Addresses,
  request: EraseRequest,
  signal: AbortSignal,
): Promise<ErasePage> {
  if (request.jobs === undefined || request.jobs.length === 0)
    return eraseFrom(side, addresses, 0, request.limit, signal)
  const { running, messages, from } = await look(side, request.jobs, signal)
  if (running.length === 0 && from !== null) {
    const page = await eraseFrom(side, addresses, from, request.limit, signal)
    return { ...page, messages: [...messages, ...page.messages] }
  }
  return { removed: {}, retained: [], pending: running, messages, more: running.length > 0 }
}

async function look(
  side: SendgridSide,
  jobs: readonly string[],
  signal: AbortSignal,
): Promise<{ running: Pending[]; messages: string[]; from: number | null }> {
  const started = jobs.map(readJob).filter((job) => job !== null)
  const running: Started[] = []
  const messages: string[] = []
  for (const job of started.filter(({ kind }) => kind === 'contacts')) {
    const status = await lookAtDeletion(side, job.id, signal)
    if (status === 'pending') running.push(job)
    if (status === 'failed' || status === 'errored')
      messages.push(`SendGrid's deletion of contacts ${job.id} ended with errors (${status}).`)
    if (status === 'unknown')
      messages.push(`SendGrid no longer knows its deletion of contacts ${job.id}: only reading back tells.`)
  }
  for (const { id } of started.filter(({ kind }) => kind === 'erasure'))
    messages.push(`SendGrid accepted erasure job ${id}; it doesn't say when such a job has ended.`)
  const places = started.flatMap(({ from }) => (from === undefined ? [] : [from]))
  return {
    // The place goes along with every job, so that whichever ends last still has it.
    running: running.map((job) => pending(job)),
    messages,
    from: places.length === 0 ? null : Math.max(...places),
  }
}

async function eraseFrom(
  side: SendgridSide,
  { all, unfit }: Addresses,
  from: number,
  limit: number,
  signal: AbortSignal,
): Promise<ErasePage> {
  const part = all.slice(from, from + limit)
  const contacts = await removeContacts(side, part, signal)
  const lists = await removeSuppressions(side, part, limit - contacts.accepted, signal)
  const mail = await eraseMail(side, part.slice(0, lists.done), signal)

  const next = from + lists.done
  const rest = next < all.length ? { from: next } : {}
  const jobs = [
    ...contacts.jobs.map((id) => ({ kind: 'contacts', id, ...rest })),
    ...mail.jobs.map((id) => ({ kind: 'erasure', id, ...rest })),
  ]
  const page = {
    removed: { ...(contacts.accepted === 0 ? {} : { contacts: contacts.accepted }), ...lists.removed },
    retained: lists.retained,
    pending: jobs.map((job) => pending(job)),
    messages: [
      ...said(contacts.refused, 'contact', 'could not be deleted: refused by SendGrid'),
      ...said(contacts.unsearched, 'address', 'could not be searched for: refused by SendGrid', 'es'),
      ...said(
        contacts.others,
        'contact',
        "of somebody else's address left alone: the subject's is only an alternate one there, to be removed by hand",
      ),
      ...said(lists.refused, 'suppression', 'could not be deleted: refused by SendGrid'),
      ...said(mail.refused, 'address', 'not taken by an erasure job: refused by SendGrid', 'es'),
      ...(from === 0 ? said(unfit, 'value', 'passed over: no mail address') : []),
    ],
    more: contacts.jobs.length > 0 || next < all.length,
  }
  // Nothing was done and nothing carries the place: the next call would begin with the same part again.
  if (next === all.length || jobs.length > 0 || Object.keys(page.removed).length > 0) return page
  const others = await eraseFrom(side, { all, unfit }, next, limit, signal)
  return {
    ...others,
    retained: [...page.retained, ...others.retained],
    messages: [...page.messages, ...others.messages],
  }
}

async function removeContacts(side: SendgridSide, part: readonly string[], signal: AbortSignal) {
  const { found, refused } = await searchContacts(side, part, signal)
  const own = new Set<string>()
  const others = new Set<string>()
  for (const contact of found.values()) (contact.own ? own : others).add(contact.id)
  const deletion = await deleteContacts(side, [...own], signal)
  return { ...deletion, others: others.size, unsearched: refused.size }
}

/** As many as `budget` allows; `done` counts the addresses that need no further call. */
async function removeSuppressions(
  side: SendgridSide,
  part: readonly string[],
  budget: number,
  signal: AbortSignal,
) {
  const wanted: Suppression[] = []
  const kept: Suppression[] = []
  let done = 0
  for (const address of part) {
    const found = await suppressionsOf(side, address, signal)
    const deletable = found.filter(({ kind }) => isDeleted(side, kind))
    const some = deletable.slice(0, budget - wanted.length)
    wanted.push(...some)
    if (some.length < deletable.length) break
    kept.push(...found.filter(({ kind }) => !isDeleted(side, kind)))
    done += 1
  }
  const refused = await deleteSuppressions(side, wanted, signal)
  return {
    removed: counted(wanted.filter((one) => !refused.some((other) => isSame(one, other)))),
    retained: retainedOf(kept),
    refused: refused.length,
    done,
  }
}

export function isDeleted({ options }: SendgridSide, kind: Suppression['kind']): boolean {
  return options.deleteSuppressions?.includes(kind) ?? false
}

export function retainedOf(kept: readonly Suppression[]): Retained[] {
  return Object.entries(counted(kept)).map(([place, count]) => ({ place, count, ground: KEPT, until: null }))
}

export function counted(suppressions: readonly Suppression[]): Record<string, number> {
  return tally(suppressions.map(({ kind }) => kind))
}

function isSame(one: Suppression, other: Suppression): boolean {
  return one.kind === other.kind && one.address === other.address && one.group === other.group
}

function pending(job: Started): Pending {
  return { job: writeJob(job), pollAfterSeconds: POLL_SECONDS }
}

function said(count: number, noun: string, rest: string, plural = 's'): string[] {
  return count === 0 ? [] : [`${count} ${noun}${count === 1 ? '' : plural} ${rest}.`]
}
