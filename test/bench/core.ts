/**
 * What the durable core costs: no-op runs through ledger and queue against the same number of raw BullMQ jobs, one at a
 * time, in alternated rounds. Raw BullMQ remembers nothing once Redis forgets; the difference is the price of a record.
 */
import { Queue, Worker } from 'bullmq'
import { z } from 'zod'
import { sleep } from '../../lib/base/clock/index.ts'
import { countRuns } from '../../lib/record/ledger/index.ts'
import type { JobKind } from '../../jobs/kind.ts'
import { consume } from '../../workers/consumer.ts'
import { runOnce } from '../../workers/dispatcher.ts'
import { createTestDatabase } from '../support/servers/postgres.ts'
import { openHouse } from '../support/servers/processes.ts'
import { median } from './contenders.ts'

export interface CoreAddresses {
  adminUrl: string
  redisUrl: string
}

const runs = 2000
const rounds = 3

/** ms for one run, by part: creating it, bringing it to the queue, working on it until its final state is durable. */
interface Parts {
  create: number
  enqueue: number
  work: number
}

export async function benchCore(
  addresses: CoreAddresses,
  say: (line: string) => void,
): Promise<Record<string, number>> {
  const lethe: Parts[] = []
  const raw: Parts[] = []
  for (let round = 0; round < rounds; round += 1) {
    raw.push(await measureRaw(addresses.redisUrl))
    lethe.push(await measureLethe(addresses))
  }
  const ours = middle(lethe)
  const theirs = middle(raw)
  say(`core: a no-op run takes ${text(ours)}; a raw BullMQ job ${text(theirs)}`)
  say(
    'core: the difference is PostgreSQL: an insert to create, an update to enqueue, and, while working, a claim and a ' +
      'final state, each a commit of its own that also holds its event',
  )
  return { core_vs_bullmq: total(theirs) / total(ours) }
}

async function measureLethe({ adminUrl, redisUrl }: CoreAddresses): Promise<Parts> {
  const house = await openHouse(await createTestDatabase(adminUrl), 'error')
  const queue = `bench-core-${process.pid}`
  const noop: JobKind = {
    kind: 'bench.noop',
    queue,
    payload: z.strictObject({}),
    maxAttempts: 1,
    scope: () => 'bench',
    step: () => Promise.resolve({ kind: 'done', outcome: 'nothing' }),
  }
  try {
    const lethe = house.process([noop], { redisUrl })
    const create = await timed(async () => {
      for (let made = 0; made < runs; made += 1) await house.run(noop)
    })
    const enqueue = await timed(async () => {
      const { enqueued, failures } = await runOnce(lethe)
      if (enqueued !== runs) throw new Error(`${enqueued} of ${runs} runs enqueued (${failures.join(', ')})`)
    })
    const work = await timed(async () => {
      house.role(
        await consume(
          lethe,
          queue,
        )((error) => {
          throw error
        }),
      )
      while ((await countRuns(house.control)).succeeded < runs) await sleep(20)
    })
    return { create, enqueue, work }
  } finally {
    await house.close()
  }
}

async function measureRaw(redisUrl: string): Promise<Parts> {
  const connection = { url: redisUrl, maxRetriesPerRequest: null }
  const options = { connection, prefix: '{bench}' }
  const queue = new Queue('raw', options)
  const finished = Promise.withResolvers<void>()
  let left = runs
  const enqueue = await timed(async () => {
    for (let made = 0; made < runs; made += 1) await queue.add('job', { made }, { removeOnComplete: true })
  })
  const done = { worker: null as Worker | null }
  const work = await timed(async () => {
    done.worker = new Worker('raw', () => Promise.resolve(), options)
    done.worker.on('completed', () => {
      left -= 1
      if (left === 0) finished.resolve()
    })
    await finished.promise
  })
  await done.worker?.close()
  await queue.obliterate({ force: true })
  await queue.close()
  return { create: 0, enqueue, work }
}

/** ms for one run. */
async function timed(part: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await part()
  return (performance.now() - start) / runs
}

function middle(all: readonly Parts[]): Parts {
  return {
    create: median(all.map((parts) => parts.create)),
    enqueue: median(all.map((parts) => parts.enqueue)),
    work: median(all.map((parts) => parts.work)),
  }
}

const total = (parts: Parts): number => parts.create + parts.enqueue + parts.work

function text(parts: Parts): string {
  const one = (name: string, ms: number): string => `${name} ${ms.toFixed(2)} ms`
  return `${total(parts).toFixed(2)} ms (${one('create', parts.create)}, ${one('enqueue', parts.enqueue)}, ${one('work', parts.work)})`
}
