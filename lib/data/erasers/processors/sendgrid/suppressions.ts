/** Lists of addresses that get no mail: looked up address by address, since a listing by pages shifts while it is read. */
import { z } from 'zod'
import { slices } from '../../../../base/slices/index.ts'
import { sendSplit } from '../split.ts'
import { askSendgrid, type Ask, type SendgridSide } from './client.ts'
import type { SuppressionKind } from './plan.ts'

export interface Suppression {
  kind: SuppressionKind
  address: string
  /** Of a group's list. */
  group?: number
}

const listed = z.array(z.object({ email: z.string() }))
const global = z.object({ recipient_email: z.string().optional() })
const grouped = z.object({
  suppressions: z.array(z.object({ id: z.number().int(), suppressed: z.boolean() })),
})
/** 204, and nothing in it. */
const nothing = z.unknown()

const lists = ['bounces', 'blocks', 'spam_reports', 'invalid_emails'] as const
/** Of one deletion from a list; SendGrid names no limit. */
const ADDRESSES = 100

export async function suppressionsOf(
  side: SendgridSide,
  address: string,
  signal: AbortSignal,
): Promise<Suppression[]> {
  const at = encodeURIComponent(address)
  const get = <T>(path: string, shape: z.ZodType<T>) =>
    askSendgrid(side, 'look up suppressions', { method: 'GET', path }, shape, signal)
  const [everywhere, groups, ...rest] = await Promise.all([
    get(`/v3/asm/suppressions/global/${at}`, global),
    get(`/v3/asm/suppressions/${at}`, grouped),
    ...lists.map(async (kind) => ({ kind, entries: await get(`/v3/suppression/${kind}/${at}`, listed) })),
  ])
  return [
    ...(everywhere?.recipient_email === undefined ? [] : [{ kind: 'unsubscribes' as const, address }]),
    ...(groups?.suppressions ?? [])
      .filter(({ suppressed }) => suppressed)
      .map(({ id }) => ({ kind: 'group_unsubscribes' as const, address, group: id })),
    ...rest.filter(({ entries }) => (entries ?? []).length > 0).map(({ kind }) => ({ kind, address })),
  ]
}

/** Returns what SendGrid refused. Deleting what has gone meanwhile is no failure. */
export async function deleteSuppressions(
  side: SendgridSide,
  suppressions: readonly Suppression[],
  signal: AbortSignal,
): Promise<Suppression[]> {
  const send = (ask: Ask) => askSendgrid(side, 'delete suppressions', ask, nothing, signal)
  const refused: Suppression[] = []
  for (const kind of lists) {
    const some = suppressions.filter((one) => one.kind === kind).map(({ address }) => address)
    for (const piece of slices(some, ADDRESSES)) {
      const bad = await sendSplit(piece, async (emails) => {
        await send({ method: 'DELETE', path: `/v3/suppression/${kind}`, body: { emails } })
      })
      refused.push(...bad.map((address) => ({ kind, address })))
    }
  }
  for (const one of suppressions) {
    const path = pathOf(one)
    if (path === null) continue
    const bad = await sendSplit([path], async () => {
      await send({ method: 'DELETE', path })
    })
    if (bad.length > 0) refused.push(one)
  }
  return refused
}

/** Null for a list that takes many addresses in one call. */
function pathOf({ kind, address, group }: Suppression): string | null {
  const at = encodeURIComponent(address)
  if (kind === 'unsubscribes') return `/v3/asm/suppressions/global/${at}`
  if (kind === 'group_unsubscribes' && group !== undefined)
    return `/v3/asm/groups/${group}/suppressions/${at}`
  return null
}
