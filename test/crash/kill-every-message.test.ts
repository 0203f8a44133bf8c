/**
 * A sweep is killed at every protocol message that it sends to its databases, one after the other, and another worker
 * goes on. Nothing that a person or an auditor could see afterwards may tell that anything happened.
 */
import { expect, it } from 'vitest'
import { z } from 'zod'
import { newId, sleep } from '../../lib/base/clock/index.ts'
import { openQueues, type Queues } from '../../lib/base/queue/index.ts'
import { addHold, holdStatement } from '../../jobs/holds.ts'
import { registry } from '../../jobs/registry.ts'
import { runJob } from '../../jobs/runner.ts'
import { openContext } from '../../workers/context.ts'
import { startProxy, type FaultProxy, type MessageCounter } from '../support/servers/servers.ts'
import { startLethe } from '../support/stages/cli.ts'
import { freshDatabase, sharedRedisUrl } from '../support/servers/shared.ts'
import { openSweepStage, type SweepStage } from '../support/stages/sweep-stage.ts'

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

const executed = {
  state: 'succeeded',
  outcome: 'executed',
  verified: true,
  population: 0,
  removing: 0,
  counters: { subjects: 5, kept: 1, verified: 5, 'skipped.held': 1, 'removed.public.notes': 250 },
}

interface Victim {
  /** What it says to its databases: nothing is heard of it behind message `k`. */
  env: Readonly<Record<string, string>>
  /** Resolves when it was killed. */
  dead: Promise<void>
  readonly killed: boolean
  close(): Promise<void>
}

/** Proxies before both databases that fall silent together at message `k`; `kill` is called in that moment. */
async function victimOf(stage: SweepStage, k: number, kill: () => void): Promise<Victim> {
  let killed = false
  let said = 0
  const dead = Promise.withResolvers<void>()
  const counter: MessageCounter = {
    count: 0,
    onMessage(_n, message) {
      if (counts(message)) said += 1
      if (said < k) return true
      killed = true
      kill()
      for (const proxy of proxies) proxy.cut()
      dead.resolve()
      return false
    },
  }
  const proxies: FaultProxy[] = []
  const through = async (name: string) => {
    const { hostname, port } = new URL(stage.env[name] ?? '')
    const proxy = await startProxy(hostname, Number(port), { protocol: 'postgres', counter })
    proxies.push(proxy)
    return proxy.rewrite(stage.env[name] ?? '')
  }
  return {
    env: {
      ...stage.env,
      LETHE_CONTROL_URL: await through('LETHE_CONTROL_URL'),
      APP_URL: await through('APP_URL'),
    },
    dead: dead.promise,
    get killed() {
      return killed
    },
    async close() {
      await Promise.all(proxies.map((proxy) => proxy.close()))
    },
  }
}

/** True: it was killed at message `k`; false: it had less to say. Inside this process: the dead worker is left to itself. */
async function killedAt(stage: SweepStage, k: number): Promise<boolean> {
  const stop = new AbortController()
  const victim = await victimOf(stage, k, () => stop.abort())
  const live = async () => {
    const [job] = await stage.due()
    if (job === undefined) throw new Error('nothing is due')
    const worker = await openContext(`killed ${k}`, victim.env)
    await runJob(worker.context, registry, job, stop.signal)
    await worker.close()
  }
  const lived = live().catch((error: unknown) => {
    if (!victim.killed) throw error
  })
  await Promise.race([lived, victim.dead])
  await victim.close()
  return victim.killed
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
    expect(whole).toMatchObject(executed)
    expect(whole.live).toHaveLength(5)
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

it('A worker process that is SIGKILLed at every 25th of its messages: another finishes as if nobody had been killed.', async () => {
  const prefix = `{crash-${newId()}}`
  const redisUrl = sharedRedisUrl()
  const queues = openQueues({ url: redisUrl, prefix }, ['retention'])
  const stage = await openSweepStage(
    { control: await freshDatabase(), app: await freshDatabase() },
    { people, redisUrl, operations: { redis_prefix: prefix } },
  )
  try {
    await stage.begin()
    await stage.finish()
    await stage.approve()
    await stage.save()
    await stage.finish()
    const whole = await stage.outcome()
    expect(whole.live).toHaveLength(6)
    for (let k = 25; ; k += 25) {
      await stage.reset()
      // jobs of those who were killed before are still in Redis
      await stage.control.execute('UPDATE lethe_control.runs SET generation = $1', [k])
      await killProcessAt(stage, k, queues)
      await stage.untilGone('lethe retention')
      const { state } = await stage.outcome()
      await stage.expire()
      await stage.finish()
      expect.soft(await stage.outcome(), `killed at message ${k}`).toEqual(whole)
      if (state !== 'queued' && state !== 'running') break
      expect(k).toBeLessThan(5000)
    }
  } finally {
    await queues.close()
    await stage.close()
  }
}, 300_000)

async function killProcessAt(stage: SweepStage, k: number, queues: Queues): Promise<void> {
  let kill = () => {}
  const victim = await victimOf(stage, k, () => kill())
  const { child, ended } = startLethe(['work', 'retention'], victim.env)
  kill = () => child.kill('SIGKILL')
  for (const { runId, generation } of await stage.due())
    await queues.enqueue('retention', { runId, generation })
  // a process that has nothing left to do goes on saying that it lives, until that is the k-th message
  const over = new AbortController()
  await Promise.race([victim.dead, untilDone(stage, over.signal)])
  over.abort()
  kill()
  await ended
  await victim.close()
}

async function untilDone(stage: SweepStage, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await stage.outcome()).state !== 'succeeded') await sleep(100)
}
