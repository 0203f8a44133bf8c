/**
 * A sweep is killed at every protocol message that it sends to its databases, one after the other, and another worker
 * goes on. Nothing that a person or an auditor could see afterwards may tell that anything happened.
 */
import { expect, it } from 'vitest'
import { z } from 'zod'
import { addHold, holdStatement } from '../../jobs/retention/index.ts'
import { registry } from '../../jobs/registry.ts'
import { runJob } from '../../jobs/runner.ts'
import { openContext } from '../../workers/context.ts'
import { startProxy, type MessageCounter } from '../support/servers.ts'
import { freshDatabase } from '../support/shared.ts'
import { openSweepStage, type SweepStage } from '../support/sweep-stage.ts'

/** Two light batches, a subject in two pieces, one with a row that must be kept, one held since the approval. */
const people = [
  { id: 1, notes: 60 },
  { id: 2, notes: 50, kept: true },
  { id: 3, notes: 10 },
  { id: 4, notes: 130 },
  { id: 5, notes: 0 },
  { id: 6, notes: 5 },
  { id: 7, notes: 5, due: false },
]

/** Two databases each, so that one lane computes while the other's databases work. */
const LANES = 3

const hold = {
  level: 'subject',
  store: 'app',
  subject: 'person',
  key: ['6'],
  kind: 'legal-claim',
  owner: 'legal',
  reason: 'a claim came in after the approval',
  reviewAt: '2030-01-01',
} as const

/**
 * Bind, Describe and Execute leave a client together with their Parse and have no effect that outlives the connection
 * until the Sync behind them: a worker killed at one of them is the worker killed at that Parse or that Sync. They count
 * only where LETHE_CRASH_MESSAGES=all asks for it, which takes three times as long.
 */
function counts(message: Buffer): boolean {
  const type = String.fromCharCode(message[0] ?? 0)
  return process.env['LETHE_CRASH_MESSAGES'] === 'all' || !['B', 'D', 'E'].includes(type)
}

/** True: it was killed at message `k`; false: it had less to say. The dead worker is left to itself. */
async function killedAt(stage: SweepStage, k: number): Promise<boolean> {
  let killed = false
  let said = 0
  const stop = new AbortController()
  const dead = Promise.withResolvers<void>()
  const counter: MessageCounter = {
    count: 0,
    onMessage(_n, message) {
      if (counts(message)) said += 1
      if (said < k) return true
      killed = true
      for (const proxy of proxies) proxy.cut()
      stop.abort()
      dead.resolve()
      return false
    },
  }
  const through = async (url: string) => {
    const proxy = await startProxy(new URL(url).hostname, Number(new URL(url).port), {
      protocol: 'postgres',
      counter,
    })
    proxies.push(proxy)
    return proxy.rewrite(url)
  }
  const proxies: Awaited<ReturnType<typeof startProxy>>[] = []
  const env = {
    ...stage.env,
    LETHE_CONTROL_URL: await through(stage.env['LETHE_CONTROL_URL'] ?? ''),
    APP_URL: await through(stage.env['APP_URL'] ?? ''),
  }
  const live = async () => {
    const [job] = await stage.due()
    if (job === undefined) throw new Error('nothing is due')
    const worker = await openContext(`killed ${k}`, env)
    await runJob(worker.context, registry, job, stop.signal)
    await worker.close()
  }
  await Promise.race([
    live().catch((error: unknown) => {
      if (!killed) throw error
    }),
    dead.promise,
  ])
  await Promise.all(proxies.map((proxy) => proxy.close()))
  return killed
}

/**
 * Kills a worker at message 1, 2, 3 … until one has less to say, lets another finish each time, and compares what `read`
 * then finds with what it finds after a run that nobody interrupted. Returns that, and how many messages there were.
 */
async function killAtEach<T>(
  prepare: (stage: SweepStage) => Promise<void>,
  read: (stage: SweepStage) => Promise<T>,
) {
  return Promise.all(
    Array.from({ length: LANES }, async (_, lane) => {
      const stage = await openSweepStage(
        { control: await freshDatabase(), app: await freshDatabase() },
        { people },
      )
      try {
        await prepare(stage)
        await stage.save()
        await stage.finish()
        const whole = await read(stage)
        for (let k = lane + 1; ; k += LANES) {
          await stage.reset()
          const killed = await killedAt(stage, k)
          // what the dead one had sent before may still commit
          await stage.untilGone(`lethe killed ${k}`)
          await stage.expire()
          await stage.finish()
          expect.soft(await read(stage), `killed at message ${k}`).toEqual(whole)
          if (!killed) return { whole, messages: k - 1 }
        }
      } finally {
        await stage.close()
      }
    }),
  )
}

it('A worker killed at any message of its proposal: another proposes the same, once.', async () => {
  const lanes = await killAtEach(
    async (stage) => {
      await stage.begin()
    },
    async ({ app, control }) => ({
      population: await app.query(
        z.object({ row: z.string() }),
        `SELECT concat_ws(' ', root_key::text, weight, state) AS row FROM lethe.population ORDER BY ordinal`,
      ),
      record: await control.query(
        z.looseObject({}),
        `SELECT p.state, p.population::int, p.rows, p.excluded, r.state AS run, r.waiting_for, r.counters,
           (SELECT count(*)::int FROM lethe_control.events WHERE type = 'proposal.created') AS created
         FROM lethe_control.proposals p JOIN lethe_control.runs r ON r.id = p.run_id`,
      ),
    }),
  )
  for (const { whole, messages } of lanes) {
    expect(whole.population).toHaveLength(6)
    expect(whole.record).toMatchObject([{ state: 'waiting', population: 6, run: 'waiting', created: 1 }])
    expect(messages).toBeGreaterThan(50)
  }
}, 300_000)

it('A worker killed at any message of its execution: another finishes as if nobody had been killed.', async () => {
  const lanes = await killAtEach(
    async (stage) => {
      await stage.begin()
      await stage.finish()
      await stage.approve()
      await addHold(stage.context, hold, await stage.sign(holdStatement(stage.context, hold)))
    },
    async (stage) => stage.outcome(),
  )
  for (const { whole, messages } of lanes) {
    expect(whole).toMatchObject({ state: 'succeeded', outcome: 'executed', population: 0, removing: 0 })
    expect(messages).toBeGreaterThan(100)
  }
}, 600_000)

it('A worker killed at any message of a refused run: another ends it with the same refusal and the same record.', async () => {
  const lanes = await killAtEach(
    async (stage) => {
      await stage.begin()
      await stage.finish()
      await stage.approve()
      // as if the map had changed since, and an earlier attempt had passed one subject over
      await stage.control.execute(`UPDATE lethe_control.proposals SET plan_hash = 'another'`)
      await stage.app.execute(
        `UPDATE lethe.population SET state = 'skipped', reason = 'held' WHERE root_key = '{6}'`,
      )
    },
    async (stage) => stage.outcome(),
  )
  for (const { whole, messages } of lanes) {
    expect(whole).toMatchObject({ state: 'refused', proposal: 'cancelled', population: 0, live: [] })
    expect(whole.report).toMatchObject({ outcome: 'refused', subjects: { skipped: { held: 1 } } })
    expect(messages).toBeGreaterThan(50)
  }
}, 300_000)
