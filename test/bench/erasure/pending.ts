/**
 * 100,000 requests in their grace period: what support's list and status take, and what a worker's memory grows by. In a
 * process of its own, with the image's own limits of memory.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { z } from 'zod'
import { newId } from '../../../lib/base/clock/index.ts'
import { listStatus, requestStatus } from '../../../jobs/erasure/index.ts'
import { createRequests } from '../../../lib/record/requests/index.ts'
import { median } from '../contenders.ts'
import { withClient } from '../dataset.ts'
import { buildClinic, dropClinic, openHouse, type House } from './house.ts'
import type { Vendors } from './vendor-process.ts'
import { addresses, type Addresses } from './vendors.ts'

const PENDING = 100_000
const PAGE = 1000
const TURNS = 21

const figures = z.record(z.string(), z.number())

export async function benchPending(
  adminUrl: string,
  { s3, dynamodb, processor }: Vendors,
): Promise<Record<string, number>> {
  const execArgv = ['--max-semi-space-size=4', '--max-old-space-size=128']
  const child = fork(import.meta.filename, [adminUrl, s3, dynamodb, processor], { execArgv })
  const [told] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the process ended with ${String(code)}`))),
  ])
  return figures.parse(told)
}

async function measure(adminUrl: string, vendors: Addresses): Promise<Record<string, number>> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  await buildClinic(adminUrl, 1)
  const house = await openHouse(adminUrl, vendors)
  try {
    await make(house, PAGE)
    await house.work()
    const few = peakMb()
    const started = performance.now()
    for (let made = PAGE; made < PENDING; made += PAGE) await make(house, PAGE)
    const created = performance.now()
    await house.work()
    const worked = performance.now()
    const many = peakMb()
    const views = await timeViews(house)
    say(
      `${PENDING.toLocaleString('en')} requests made in ${((created - started) / 1000).toFixed(0)} s and brought into their grace period in ` +
        `${((worked - created) / 1000).toFixed(0)} s; peak memory ${few.toFixed(0)} MB after the first ${PAGE}, ${many.toFixed(0)} MB after all`,
    )
    for (const [name, ms] of Object.entries(views)) say(`${name}: ${ms.toFixed(1)} ms`)
    return {
      erasure_pending_rss_mb: many,
      erasure_pending_rss_growth: many / few,
      erasure_pending_list_ms: Math.max(...Object.values(views)),
    }
  } finally {
    await house.close()
    await dropClinic(adminUrl)
  }
}

async function make({ context }: House, count: number): Promise<void> {
  const requests = Array.from({ length: count }, () => ({
    subjectKind: 'patient',
    store: 'clinic',
    // nobody: what a request costs while it waits doesn't depend on who it is about
    key: [String(Number.parseInt(newId().slice(0, 12).replaceAll('-', ''), 16) + 1_000_000)],
    kind: 'account-closure' as const,
    ground: 'account-closed',
    requester: 'subject' as const,
    actor: 'app:bench',
    origin: 'sql' as const,
    grace: '30 days',
    identity: { method: 'signed-in-session' as const, by: 'app:bench' },
    instruction: null,
  }))
  await context.control.transaction((tx) =>
    createRequests(tx, context.keystore, requests, {
      ceiling: 1_000_000,
      slowest: '7 days',
      keep: '60 days',
    }),
  )
}

/** The slowest matters: support asks for any of them. */
async function timeViews({ context, controlUrl }: House): Promise<Record<string, number>> {
  const id = await withClient(controlUrl, async (client) => {
    const found = await client.query<{ id: string }>(
      'SELECT id FROM lethe_control.erasure_requests OFFSET $1 LIMIT 1',
      [PENDING / 2],
    )
    return found.rows[0]?.id ?? ''
  })
  const views = {
    'list, nearest due date first': () => listStatus(context, { due: true }),
    'list, newest first': () => listStatus(context, {}),
    'list of a state that many are in': () => listStatus(context, { states: ['grace'] }),
    'list of a state that none is in': () => listStatus(context, { states: ['needs-attention'] }),
    'list of what is due in a state that none is in': () =>
      listStatus(context, { states: ['needs-attention'], due: true }),
    status: () => requestStatus(context, id),
  }
  const timings: Record<string, number> = {}
  for (const [name, view] of Object.entries(views)) {
    const turns: number[] = []
    for (let turn = 0; turn < TURNS; turn += 1) {
      const started = performance.now()
      await view()
      turns.push(performance.now() - started)
    }
    timings[name] = median(turns)
  }
  return timings
}

/** The process's own high-water mark. */
function peakMb(): number {
  return process.resourceUsage().maxRSS / 1024
}

if (import.meta.main) {
  const [adminUrl = '', s3, dynamodb, processor] = process.argv.slice(2)
  process.send?.(await measure(adminUrl, addresses.parse({ s3, dynamodb, processor })))
  process.disconnect()
}
