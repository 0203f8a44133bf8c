/**
 * A cascade's worker is killed at every protocol message that it sends to its databases and its Redis, and at every call of a
 * processor, before it acted and after; another goes on. No leg is skipped, none is verified that isn't, and nothing that
 * remains tells that anything happened.
 */
import { expect, it } from 'vitest'
import { z } from 'zod'
import { newId, sleep } from '../../lib/base/clock/index.ts'
import { freeExpiredLeases, takeForEnqueue } from '../../lib/record/ledger/index.ts'
import { openQueues } from '../../lib/base/queue/index.ts'
import { registry } from '../../jobs/registry.ts'
import { runJob } from '../../jobs/runner.ts'
import { openContext } from '../../workers/context.ts'
import { startLethe } from '../support/stages/cli.ts'
import { emailOf, openErasureHouse, stores, type ErasureHouse } from '../support/stages/erasure-house.ts'
import { saveTables } from '../support/stages/saved-tables.ts'
import { startProxy, type FaultProxy, type MessageCounter } from '../support/servers/servers.ts'
import { sharedRedisUrl } from '../support/servers/shared.ts'

const LANES = 2
const DATABASES = ['LETHE_CONTROL_URL', 'APP_URL'] as const
const everyone = [1, 2, 10] as const
const asked = [1, 2] as const

/** As in kill-every-message: what has no effect before its Sync is counted where LETHE_CRASH_MESSAGES=all asks for it. */
function counts(message: Buffer): boolean {
  const type = String.fromCharCode(message[0] ?? 0)
  return process.env['LETHE_CRASH_MESSAGES'] === 'all' || !['B', 'D', 'E'].includes(type)
}

interface Victim {
  env: Readonly<Record<string, string>>
  dead: Promise<void>
  readonly killed: boolean
  readonly said: number
  close(): Promise<void>
}

/** Nothing of it is heard from its moment `k` on: a message, a call that comes in, a call that was carried out. */
async function victimOf(house: ErasureHouse, k: number, kill: () => void): Promise<Victim> {
  let said = 0
  let killed = false
  const dead = Promise.withResolvers<void>()
  /** False: it is dead. */
  const moment = (): boolean => {
    said += 1
    if (said < k) return true
    if (!killed) {
      killed = true
      kill()
      for (const proxy of proxies) proxy.cut()
      dead.resolve()
    }
    return false
  }
  const counter: MessageCounter = {
    count: 0,
    onMessage: (_n, message) => (killed ? false : counts(message) ? moment() : true),
  }
  const proxies: FaultProxy[] = []
  const env: Record<string, string> = { ...house.env }
  for (const name of DATABASES) {
    const { hostname, port } = new URL(house.env[name] ?? '')
    const proxy = await startProxy(hostname, Number(port), { protocol: 'postgres', counter })
    proxies.push(proxy)
    env[name] = proxy.rewrite(house.env[name] ?? '')
  }
  const redis = new URL(house.sessionsUrl)
  const proxy = await startProxy(redis.hostname, Number(redis.port), {
    protocol: 'redis',
    counter: { count: 0, onMessage: () => !killed && moment() },
  })
  proxies.push(proxy)
  env['SESSIONS_URL'] = proxy.rewrite(house.sessionsUrl)
  for (const processor of [house.letters, house.parcels]) {
    processor.before = () => (moment() ? undefined : null)
    processor.answer = () => (moment() ? undefined : null)
  }
  return {
    env,
    dead: dead.promise,
    get killed() {
      return killed
    },
    get said() {
      return said
    },
    async close() {
      for (const processor of [house.letters, house.parcels]) {
        processor.before = undefined
        processor.answer = undefined
      }
      await Promise.all(proxies.map((one) => one.close()))
    },
  }
}

/** Inside this process: the dead worker is left to itself. */
async function killedAt(house: ErasureHouse, k: number): Promise<{ killed: boolean; said: number }> {
  const stop = new AbortController()
  const victim = await victimOf(house, k, () => stop.abort())
  const live = async () => {
    const [job] = await takeForEnqueue(house.control)
    if (job === undefined) throw new Error('nothing is due')
    const worker = await openContext(`killed ${k}`, victim.env)
    try {
      await runJob(worker.context, registry, job, stop.signal)
    } finally {
      await worker.close()
    }
  }
  const lived = live().catch((error: unknown) => {
    if (!victim.killed) throw error
  })
  await Promise.race([lived, victim.dead])
  await victim.close()
  // what it had begun before it died it may still do; afterwards it says no more
  await lived
  return { killed: victim.killed, said: victim.said }
}

async function untilGone(house: ErasureHouse, applicationName: string): Promise<void> {
  for (;;) {
    const rows = await house.control.query(
      z.object({ pid: z.number() }),
      'SELECT pid FROM pg_stat_activity WHERE application_name = $1',
      [applicationName],
    )
    if (rows.length === 0) return
  }
}

/** At any moment: nothing is gone without its entry, and what is verified is gone. */
async function expectSound(house: ErasureHouse, when: string): Promise<void> {
  const ledger = new Set(await house.ledger(...everyone))
  for (const id of everyone) {
    const left = await house.left(id)
    const some = { app: 3, letters: 2, parcels: 2 } as const
    for (const store of ['app', 'letters', 'parcels'] as const)
      if (left[store] !== some[store])
        expect.soft(ledger.has(`${store}:${id}`), `${store} of ${id} went unrecorded, ${when}`).toBe(true)
  }
  const legs = await house.control.query(
    z.object({ store: z.string(), id: z.coerce.number() }),
    `SELECT l.store, j.person AS id FROM lethe_control.erasure_legs l JOIN saved_persons j ON j.request = l.request_id
     WHERE l.state IN ('verified', 'retained') AND l.store <> 'archive'`,
  )
  // a search holds nothing of anybody
  for (const { store, id } of legs.filter((leg) => leg.store !== 'app:free-text'))
    expect.soft((await house.left(id))[store], `${store} of ${id} is wrongly verified, ${when}`).toBe(0)
}

/** What remains, without instants, ids of runs, and what calls counted: what a dead worker's call removed nobody told. */
async function outcome(house: ErasureHouse) {
  const requests = await house.control.query(
    z.looseObject({}),
    `SELECT r.state, r.waiting_for, r.resume_state, r.nobody, r.retained_classes, r.sealed IS NULL AS forgotten, r.due_at - r.clock_from = interval '1 month' AS month,
       EXISTS (SELECT FROM lethe_control.erasure_receipts p WHERE p.request_id = r.id) AS receipt, (SELECT json_agg(json_build_array(l.store, l.state, l.reopened, l.remains, l.job, l.error_code) ORDER BY l.store)
         FROM lethe_control.erasure_legs l WHERE l.request_id = r.id) AS legs,
       (SELECT json_agg(e.data ->> 'verb' ORDER BY e.id) FROM lethe_control.events e WHERE e.type = 'request.moved' AND e.data ->> 'request' = r.id::text) AS verbs
     FROM lethe_control.erasure_requests r JOIN saved_persons p ON p.request = r.id ORDER BY p.person`,
  )
  const [removing] = await house.app.query(
    z.looseObject({}),
    `SELECT (SELECT count(*)::int FROM lethe.removing) AS removing, (SELECT count(*)::int FROM lethe.intake WHERE taken_at IS NULL) AS intake,
       (SELECT count(*)::int FROM lethe.intake WHERE root_key IS NOT NULL) AS keys`,
  )
  return {
    requests,
    left: await Promise.all(everyone.map((id) => house.left(id))),
    ledger: await house.ledger(...everyone),
    intake: removing,
  }
}

/** A processor is asked for the same persons again, once, and for nobody else. */
function expectRepeats(house: ErasureHouse, when: string): void {
  for (const processor of [house.letters, house.parcels]) {
    const calls = processor.messages.flatMap(({ message: { type, data } }) =>
      type === 'lethe.erase'
        ? [(data.subjects ?? []).flatMap(({ identifiers }) => identifiers['email'] ?? []).sort()]
        : [],
    )
    for (const call of calls) expect.soft(call, when).toEqual(asked.map(emailOf))
    expect.soft([1, 2], when).toContain(calls.length)
  }
}

async function expire(house: ErasureHouse): Promise<void> {
  await house.control.execute(
    `UPDATE lethe_control.runs SET lease_expires_at = clock_timestamp() WHERE state = 'running'`,
  )
  await freeExpiredLeases(house.control)
}

interface Stage {
  house: ErasureHouse
  reset(): Promise<void>
}

/** Two requests, one of staff and one of the application, neither worked on. */
async function openStage(
  env: Readonly<Record<string, string>> = {},
  changes: Readonly<Record<string, unknown>> = {},
): Promise<Stage> {
  const house = await openErasureHouse(env)
  await house.configure(changes)
  await house.people(...everyone)
  const first = await house.ask(1)
  const second = await house.askSql(2)
  await house.control.execute(
    'CREATE TABLE public.saved_persons AS SELECT $1::uuid AS request, 1 AS person',
    [first.id],
  )
  await house.control.execute('INSERT INTO saved_persons VALUES ($1, 2)', [second])
  for (const db of [house.control, house.app]) await saveTables(db, 'saved_start')
  return {
    house,
    async reset() {
      for (const db of [house.control, house.app]) await db.execute('SELECT saved_start.reset()')
      await house.sessions.flushall()
      house.letters.reset()
      house.parcels.reset()
      for (const id of everyone) {
        await house.sessions.mset(`session:${id}:a`, 'x', `session:${id}:b`, 'x')
        for (const processor of [house.letters, house.parcels]) processor.letters.set(emailOf(id), 2)
      }
    },
  }
}

it('Killed at any message and any call: another finishes as if nobody had been killed.', async () => {
  await Promise.all(
    Array.from({ length: LANES }, async (_, lane) => {
      const stage = await openStage()
      const { house } = stage
      try {
        await house.work()
        const whole = await outcome(house)
        expect(whole.left.slice(0, 2)).toEqual(
          asked.map(() => ({ app: 0, sessions: 0, letters: 0, parcels: 0 })),
        )
        expect(whole.ledger).toEqual(asked.flatMap((id) => stores.map((store) => `${store}:${id}`)).sort())
        for (let k = lane + 1; ; k += LANES) {
          await stage.reset()
          const { killed, said } = await killedAt(house, k)
          await untilGone(house, `lethe killed ${k}`)
          await expectSound(house, `killed at ${k}`)
          await expire(house)
          await house.later()
          await house.later()
          expect.soft(await outcome(house), `killed at ${k}`).toEqual(whole)
          expectRepeats(house, `killed at ${k}`)
          if (!killed) {
            expect(said).toBeGreaterThan(100)
            return
          }
        }
      } finally {
        await house.close()
      }
    }),
  )
}, 600_000)

it('A worker process that is SIGKILLed at every 20th moment: another finishes as if nobody had been killed.', async () => {
  const prefix = `{crash-${newId()}}`
  const queues = openQueues({ url: sharedRedisUrl(), prefix }, ['erasure'])
  const stage = await openStage(
    { LETHE_REDIS_URL: sharedRedisUrl() },
    { operations: { redis_prefix: prefix, health_port: 0 } },
  )
  const { house } = stage
  try {
    await house.work()
    const whole = await outcome(house)
    for (let k = 20; ; k += 20) {
      await stage.reset()
      // jobs of those who were killed before are still in Redis
      await house.control.execute('UPDATE lethe_control.runs SET generation = $1', [k])
      let kill = () => {}
      const victim = await victimOf(house, k, () => kill())
      const { child, ended } = startLethe(['work', 'erasure'], victim.env)
      kill = () => child.kill('SIGKILL')
      for (const { runId, generation } of await takeForEnqueue(house.control))
        await queues.enqueue('erasure', { runId, generation })
      const over = new AbortController()
      await Promise.race([victim.dead, untilDone(house, over.signal)])
      const { killed } = victim
      over.abort()
      kill()
      await ended
      await victim.close()
      await untilGone(house, 'lethe erasure')
      await expectSound(house, `killed at ${k}`)
      await expire(house)
      await house.later()
      await house.later()
      expect.soft(await outcome(house), `killed at ${k}`).toEqual(whole)
      expectRepeats(house, `killed at ${k}`)
      if (!killed) break
      expect(k).toBeLessThan(2000)
    }
  } finally {
    await queues.close()
    await house.close()
  }
}, 300_000)

async function untilDone(house: ErasureHouse, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const rows = await house.control.query(
      z.object({ id: z.string() }),
      'SELECT id FROM lethe_control.erasure_requests WHERE finished_at IS NULL',
    )
    if (rows.length === 0) return
    await sleep(100)
  }
}
