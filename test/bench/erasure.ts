/**
 * Erasure requests on the clinic's own tables (real PostgreSQL, durable) with an S3, a DynamoDB and a processor beside them
 * (emulated, 5 ms a call). What is asked: erasure_vs_limit ≥ 0.7, erasure_vs_row_at_a_time ≥ 20,
 * erasure_single_vs_critical_path ≤ 1.5, erasure_pending_list_ms ≤ 100. Contenders take turns on copies of the same clinic;
 * a first round that is not counted warms up all of them alike; medians.
 */
import { median } from './contenders.ts'
import { dropDatabase } from './dataset.ts'
import { findAnswer, without, type Answer } from './erasure/answer.ts'
import { limit, oneAtATime } from './erasure/contenders.ts'
import { buildClinic, cloneClinic, dropClinic, openHouse, templateUrl } from './erasure/house.ts'
import { benchPending } from './erasure/pending.ts'
import { startVendors, type Vendors } from './erasure/vendor-process.ts'

const SUBJECTS = 1000
/** One at a time takes long and has no economy of scale: a few tell as much as a thousand. */
const SAMPLE = 25
const ROUNDS = 3

type Say = (line: string) => void

export async function benchErasure(adminUrl: string, say: Say): Promise<Record<string, number>> {
  const vendors = await startVendors()
  try {
    const ids = await buildClinic(adminUrl, SUBJECTS + ROUNDS + 1)
    const bulk = await benchBulk(adminUrl, vendors, ids.slice(0, SUBJECTS), say)
    const single = await benchSingle(adminUrl, vendors, ids.slice(SUBJECTS), say)
    await dropClinic(adminUrl)
    return { ...bulk, ...single, ...(await benchPending(adminUrl, vendors)) }
  } finally {
    vendors.stop()
  }
}

async function benchBulk(adminUrl: string, vendors: Vendors, ids: readonly string[], say: Say) {
  const sample = ids.slice(0, SAMPLE)
  const few = await erase(adminUrl, vendors, sample)
  const all = await erase(adminUrl, vendors, ids)
  await against(adminUrl, vendors, ids, all.answer, limit)
  const figures = { lethe: [] as number[], limit: [] as number[], row: [] as number[] }
  for (let round = 1; round <= ROUNDS; round += 1) {
    const lethe = await erase(adminUrl, vendors, ids)
    const hand = await against(adminUrl, vendors, ids, all.answer, limit)
    const row = await against(adminUrl, vendors, sample, few.answer, oneAtATime)
    figures.lethe.push(lethe.ms)
    figures.limit.push(hand.ms)
    figures.row.push(row.ms * ids.length)
    say(
      `round ${round}: ${ids.length} subjects in ${seconds(lethe.ms)} by Lethe (${total(lethe.calls)} vendor calls), ${seconds(hand.ms)} by hand ` +
        `(${total(hand.calls)} calls), one row at a time would take ${seconds(row.ms * ids.length)}`,
    )
    if (total(lethe.calls) !== total(hand.calls))
      say(`calls differ: ${JSON.stringify(lethe.calls)} by Lethe, ${JSON.stringify(hand.calls)} by hand`)
  }
  return {
    erasure_vs_limit: median(figures.limit) / median(figures.lethe),
    erasure_vs_row_at_a_time: median(figures.row) / median(figures.lethe),
  }
}

/** One request, from the application's commit to its end, against the calls of its stores alone, all stores at once. */
async function benchSingle(adminUrl: string, vendors: Vendors, ids: readonly string[], say: Say) {
  const house = await openHouse(adminUrl, vendors)
  const ratios: number[] = []
  let before: Answer = []
  try {
    for (const [round, id] of ids.entries()) {
      await vendors.load([id])
      const lethe = await house.erase([id])
      await vendors.countEmptied()
      const after = await findAnswer(templateUrl(adminUrl), house.targetUrl)
      const targetUrl = await cloneClinic(adminUrl, 'bench_by_hand')
      await vendors.load([id])
      const path = await limit({ vendors, ids: [id], answer: without(after, before), targetUrl })
      await dropDatabase(adminUrl, 'bench_by_hand')
      before = after
      say(`one request: ${lethe.toFixed(0)} ms, its stores' calls alone ${path.toFixed(0)} ms`)
      if (round > 0) ratios.push(lethe / path)
    }
  } finally {
    await house.close()
  }
  return { erasure_single_vs_critical_path: median(ratios) }
}

interface Measured {
  ms: number
  calls: Record<string, number>
}

async function erase(
  adminUrl: string,
  vendors: Vendors,
  ids: readonly string[],
): Promise<Measured & { answer: Answer }> {
  await vendors.load(ids)
  const house = await openHouse(adminUrl, vendors)
  try {
    const ms = await house.erase(ids)
    const calls = await vendors.countEmptied()
    return { ms, calls, answer: await findAnswer(templateUrl(adminUrl), house.targetUrl) }
  } finally {
    await house.close()
  }
}

async function against(
  adminUrl: string,
  vendors: Vendors,
  ids: readonly string[],
  answer: Answer,
  contender: typeof limit,
): Promise<Measured> {
  await vendors.load(ids)
  const targetUrl = await cloneClinic(adminUrl)
  const ms = await contender({ vendors, ids, answer, targetUrl })
  await dropDatabase(adminUrl, 'bench_target')
  return { ms, calls: await vendors.countEmptied() }
}

const total = (calls: Readonly<Record<string, number>>) =>
  Object.values(calls).reduce((sum, one) => sum + one, 0)
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
