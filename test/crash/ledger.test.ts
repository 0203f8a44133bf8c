/**
 * A worker is killed while its ledger entries are on their way into the bucket: before the bucket has them, or once it has them
 * and nobody noted it. Another goes on; no number is missing, nobody goes twice.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { newId } from '../../lib/base/clock/index.ts'
import { freeExpiredLeases, takeForEnqueue, type Run } from '../../lib/record/ledger/index.ts'
import { openQueues, type Queues } from '../../lib/base/queue/index.ts'
import { decide, decisionStatement } from '../../jobs/retention/index.ts'
import { startLethe } from '../support/stages/cli.ts'
import {
  erasedIn,
  lastWords,
  lastWordsOf,
  openLedgerBucket,
  type LedgerBucket,
  type LedgerObject,
} from '../support/stages/ledger-bucket.ts'
import { openRetentionHouse, type RetentionHouse } from '../support/stages/retention-house.ts'
import { sharedRedisUrl, sharedS3 } from '../support/servers/shared.ts'

const prefix = `{crash-${newId()}}`
const everybody = Array.from({ length: 60 }, (_, place) => place + 1)
/** Restored by the application after the approval: their entries are voided. */
const staying = [2, 59]

let bucket: LedgerBucket
let house: RetentionHouse
let queues: Queues

beforeAll(async () => {
  bucket = await openLedgerBucket(await sharedS3())
  house = await openRetentionHouse({ ...bucket.env, LETHE_REDIS_URL: sharedRedisUrl() })
  queues = openQueues({ url: sharedRedisUrl(), prefix }, ['retention'])
}, 120_000)
afterAll(async () => {
  await queues.close()
  await house.close()
  await bucket.close()
})

/** A sweep of 58 persons in three batches or more, decided and not begun. */
async function approved(): Promise<Run> {
  await house.empty()
  await house.configure({
    ...(await bucket.fresh()),
    operations: { redis_prefix: prefix, lease_seconds: 60, health_port: 0 },
  })
  await bucket.confirm(house.context)
  await house.arm('closed')
  await house.app.execute(
    `INSERT INTO people (id, deleted_at) SELECT id, now() - interval '40 days' FROM unnest($1::bigint[]) id`,
    [everybody],
  )
  await house.app.execute(
    'INSERT INTO visits SELECT id * 10 + n, id FROM unnest($1::bigint[]) id, generate_series(1, 3) n',
    [everybody],
  )
  const run = await house.sweep('closed')
  const proposal = await house.proposal(run)
  const decision = { outcome: 'destroy', overrides: [], reason: 'schedule 7.2' } as const
  await decide(
    house.context,
    { proposalId: proposal.id, ...decision },
    await house.sign(decisionStatement(proposal, decision)),
  )
  await house.app.execute('UPDATE people SET deleted_at = NULL WHERE id = ANY ($1::bigint[])', [staying])
  return run
}

async function backends(): Promise<number[]> {
  const rows = await house.control.query(
    z.object({ pid: z.number() }),
    `SELECT pid FROM pg_stat_activity WHERE application_name = 'lethe retention'`,
  )
  return rows.map(({ pid }) => pid)
}

it.each([
  ['before the bucket has the first', 'before', 1],
  ['before the bucket has the second', 'before', 2],
  ['before the bucket has the third', 'before', 3],
  ['once the bucket has the first', 'lose', 1],
  ['once the bucket has the second', 'lose', 2],
  ['once the bucket has the third', 'lose', 3],
] as const)('Killed %s object: another finishes as if nobody had been killed.', async (_title, moment, k) => {
  const run = await approved()
  const own = await backends()
  const { child, ended } = startLethe(['work', 'retention'], house.env)
  const dead = Promise.withResolvers<void>()
  const kill = ({ number }: { number: number }): boolean => {
    if (number < k) return false
    child.kill('SIGKILL')
    dead.resolve()
    return true
  }
  if (moment === 'lose') bucket.lose = kill
  else
    bucket.before = async (object) => {
      // what was on its way does not arrive
      if (kill(object)) await new Promise(() => undefined)
    }
  for (const { runId, generation } of await takeForEnqueue(house.control))
    await queues.enqueue('retention', { runId, generation })
  await dead.promise
  await ended
  Object.assign(bucket, { before: undefined, lose: undefined })
  // what it had sent before may still commit
  while ((await backends()).some((pid) => !own.includes(pid)));
  const written = new Set((await bucket.objects()).flatMap(hashesOf))
  const left = await house.ids('people')
  for (const id of everybody.filter((one) => !left.includes(one)))
    expect(written.has(hashOf(id)), `${id} went and is not in the bucket`).toBe(true)

  await house.control.execute(
    `UPDATE lethe_control.runs SET lease_expires_at = clock_timestamp() WHERE state = 'running'`,
  )
  await freeExpiredLeases(house.control)
  await house.work()
  expect(await house.run(run)).toMatchObject({ state: 'succeeded', outcome: 'executed' })
  expect(await house.report(run)).toMatchObject({
    subjects: { erased: 58, skipped: { 'not-due': 2 } },
    rows: { removed: { 'public.people': 58, 'public.visits': 174 } },
    ledgerEntries: 58,
  })
  expect(await house.ids('people')).toEqual(staying)
  const objects = await bucket.objects()
  expect(lastWords(objects)).toEqual(await lastWordsOf(house.control))
  expect(erasedIn(lastWords(objects))).toHaveLength(58)
  const named = objects.flatMap(hashesOf)
  expect(named).toHaveLength(new Set(named).size)
})

function hashOf(id: number): string {
  return house.context.keystore.subjectHash('app', 'person', [String(id)]).toString('hex')
}

/** Of those it says are erased. */
function hashesOf({ entries }: LedgerObject): string[] {
  return entries.filter(({ entry }) => entry === 'erase').flatMap(({ subjects }) => subjects)
}
