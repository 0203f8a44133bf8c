/** Customers: found by id and by address, deleted one by one (docs.stripe.com/api/customers). */
import { z } from 'zod'
import type { SubjectRef } from '../../eraser.ts'
import { valuesIn } from '../../../datamap/index.ts'
import { slices } from '../../../../base/slices/index.ts'
import { askStripe, PREVIEW, type StripeSide } from './client.ts'
import type { StripePlan } from './plan.ts'

export type State = 'present' | 'deleted' | 'redacted'

/** Of one subject. */
export interface Known {
  /** Customers by id; one that Stripe doesn't know isn't among them. */
  customers: Map<string, State>
  /** Values that can't be a customer's id. */
  unfit: number
}

const customer = z.object({
  id: z.string().min(1),
  email: z.string().nullish(),
  deleted: z.literal(true).optional(),
  redaction: z.object({ status: z.string() }).nullish(),
})
const list = z.object({ data: z.array(customer), has_more: z.boolean() })
const searched = z.object({ data: z.array(customer), has_more: z.boolean(), next_page: z.string().nullish() })

/** An empty or odd id would lead to another endpoint, an empty address to every customer. */
const fitId = /^[A-Za-z0-9_-]{1,255}$/
const fitAddress = /^[^\s@]+@[^\s@]+$/
const PAGE = 100
/** Clauses that one search takes. */
const CLAUSES = 10

/** One a subject, in their order. */
export async function findCustomers(
  side: StripeSide,
  subjects: readonly SubjectRef[],
  plan: StripePlan,
  signal: AbortSignal,
): Promise<Known[]> {
  const wanted = subjects.map((subject) => wantedOf(subject, plan))
  const states = new Map<string, State>()
  /** By address, lower case. */
  const byAddress = new Map<string, Set<string>>()
  const addresses = [...new Set(wanted.flatMap((one) => one.addresses))]
  // Under the address that the customer has, not the one asked for: where a filter were ignored, nobody else is taken.
  const note = (found: z.infer<typeof customer>, state: State) => {
    const key = found.email?.toLowerCase() ?? ''
    states.set(found.id, state)
    byAddress.set(key, (byAddress.get(key) ?? new Set()).add(found.id))
  }
  for (const address of addresses)
    for (const found of await listByAddress(side, address, signal)) note(found, stateOf(found))
  if (side.options.search ?? true)
    for (const found of await searchByAddress(side, addresses, signal)) {
      // The index of the search lags: what it shows may be gone, or another's by now.
      if (!states.has(found.id)) {
        const now = await retrieve(side, found.id, signal)
        if (now !== null) note(now, stateOf(now))
      }
    }
  for (const id of new Set(wanted.flatMap((one) => one.ids)))
    if (!states.has(id)) {
      const found = await retrieve(side, id, signal)
      if (found !== null) states.set(id, stateOf(found))
    }
  return wanted.map(({ ids, addresses, unfit }) => {
    const own = [...ids, ...addresses.flatMap((address) => [...(byAddress.get(address.toLowerCase()) ?? [])])]
    return {
      unfit,
      customers: new Map(
        own.flatMap((id) => {
          const state = states.get(id)
          return state === undefined ? [] : [[id, state] as const]
        }),
      ),
    }
  })
}

/** Cancels the customer's subscriptions at once. False: it had gone before. */
export async function deleteCustomer(side: StripeSide, id: string, signal: AbortSignal): Promise<boolean> {
  const shape = z.object({ deleted: z.boolean() })
  const answer = await askStripe(
    side,
    'delete a customer',
    (stripe) => stripe.customers.del(id),
    shape,
    signal,
  )
  return answer?.deleted ?? false
}

async function retrieve(side: StripeSide, id: string, signal: AbortSignal) {
  const { redaction } = side.options
  return askStripe(
    side,
    'read a customer',
    // Whether a customer is redacted stands in the preview version only.
    (stripe) => stripe.customers.retrieve(id, {}, redaction === true ? { apiVersion: PREVIEW } : {}),
    customer,
    signal,
  )
}

/** Exact and consistent: what was deleted the moment before isn't in it. */
export async function listByAddress(side: StripeSide, email: string, signal: AbortSignal) {
  const found: z.infer<typeof customer>[] = []
  for (let after: string | undefined; ;) {
    const query = { email, limit: PAGE, ...(after === undefined ? {} : { starting_after: after }) }
    const page = await askStripe(
      side,
      'list customers by address',
      (stripe) => stripe.customers.list(query),
      list,
      signal,
    )
    const data = page?.data ?? []
    found.push(...data)
    after = data.at(-1)?.id
    if (page?.has_more !== true || after === undefined) return found
  }
}

/** In whatever case; a minute behind, an hour at worst. */
export async function searchByAddress(side: StripeSide, addresses: readonly string[], signal: AbortSignal) {
  const found: z.infer<typeof customer>[] = []
  const asked = [...new Set(addresses.map((address) => address.toLowerCase()))]
  for (const piece of slices(asked, CLAUSES)) {
    const query = piece
      .map((address) => `email:'${address.replaceAll(/['\\]/g, String.raw`\$&`)}'`)
      .join(' OR ')
    for (let next: string | undefined; ;) {
      const parameters = { query, limit: PAGE, ...(next === undefined ? {} : { page: next }) }
      const page = await askStripe(
        side,
        'search customers by address',
        (stripe) => stripe.customers.search(parameters),
        searched,
        signal,
      )
      found.push(...(page?.data ?? []).filter((one) => piece.some((address) => hasAddress(one, address))))
      next = page?.next_page ?? undefined
      if (page?.has_more !== true || next === undefined) break
    }
  }
  return found
}

function wantedOf(subject: SubjectRef, plan: StripePlan) {
  const identifiers = subject.identifiers
  const valuesOf = (name: string | undefined) => (name === undefined ? [] : valuesIn(identifiers, name))
  const ids = valuesOf(plan.customer).map((value) => value.trim())
  const addresses = valuesOf(plan.email)
    .map((value) => value.trim())
    .filter((value) => fitAddress.test(value))
  return {
    ids: ids.filter((id) => fitId.test(id)),
    unfit: ids.filter((id) => !fitId.test(id)).length,
    // The listing looks at the case.
    addresses: [...new Set(addresses.flatMap((address) => [address, address.toLowerCase()]))],
  }
}

function stateOf({ deleted, redaction }: z.infer<typeof customer>): State {
  if (deleted === true) return 'deleted'
  return redaction?.status === 'redacted' ? 'redacted' : 'present'
}

function hasAddress({ email }: { email?: string | null | undefined }, address: string): boolean {
  return email?.toLowerCase() === address.toLowerCase()
}
