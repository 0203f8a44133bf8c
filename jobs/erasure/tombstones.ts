/** A tombstone for each person whose keys are shredded: no answer and no receipt goes out before it stands. */
import type { DeletionPlan } from '../../lib/data/deletion/index.ts'
import type { SubjectEntry } from '../../lib/data/datamap/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import { tryTombstone, writeTombstones } from '../../lib/data/rows/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { errorFields } from '../../lib/base/log/index.ts'
import {
  keepSealed,
  openSecrets,
  postpone,
  type ErasureRequest,
  type Leg,
} from '../../lib/record/requests/index.ts'
import { ids, isOfOne } from './going.ts'
import type { House } from './house.ts'

/** Those whose tombstones stand, or who need none. The others wait for a minute and are tried again. Idempotent. */
export async function entomb(
  house: House,
  requests: readonly ErasureRequest[],
  legs: ReadonlyMap<string, readonly Leg[]>,
): Promise<ErasureRequest[]> {
  if (house.subject.tombstones.length === 0) return [...requests]
  const { control, config } = house.context
  const failed = await write(
    house,
    requests.filter((request) => isDue(request, legs.get(request.id) ?? [])),
  )
  await postpone(control, ids(failed), house.claim, `clock_timestamp() + interval '1 minute'`, 'tombstone')
  await keepSealed(control, ids(failed), config.file.erasure.keep_identifiers)
  return requests.filter((request) => !failed.includes(request))
}

/**
 * Where a key stays after all, a tombstone would be a lie; where nothing was found, it would be nobody's. What a call for
 * several found may be this person's: one tombstone too many misleads nobody, one too few does.
 */
function isDue({ nobody, accessEnded }: ErasureRequest, legs: readonly Leg[]): boolean {
  const keyStays = legs.some(({ kind, state }) => kind === 'keys' && state === 'accepted-as-failed')
  const found = [accessEnded, ...legs.flatMap((leg) => [leg.counts, leg.pseudonymised, leg.detached])]
  return !keyStays && (!nobody || found.some((counts) => Object.keys(counts).length > 0))
}

/** Returns those for whom it failed: one person's failure is found by halves, and holds up nobody else. */
async function write(house: House, requests: readonly ErasureRequest[]): Promise<ErasureRequest[]> {
  if (requests.length === 0) return []
  const { context, target, subject } = house
  const plan = await house.plan([])
  const keys = requests.map((request) => {
    const secrets = openSecrets(context.keystore, request)
    return secrets.keys?.[0] ?? secrets.key
  })
  try {
    await target.transaction((tx) => writeTombstones(tx, plan, subject.tombstones, keys))
    return []
  } catch (error) {
    house.signal.throwIfAborted()
    if (!(error instanceof LetheError)) throw error
    if (requests.length > 1 && isOfOne(error)) {
      const half = Math.ceil(requests.length / 2)
      return [...(await write(house, requests.slice(0, half))), ...(await write(house, requests.slice(half)))]
    }
    context.log.error({ requests: ids(requests), ...errorFields(error) }, 'a tombstone could not be written')
    return [...requests]
  }
}

export interface PlannedTombstone {
  table: string
  columns: string[]
  /** Why it could not be written; null: nothing is known against it. */
  problem: string | null
}

/** Writes nothing. */
export async function planTombstones(
  target: Database,
  plan: DeletionPlan,
  { tombstones }: SubjectEntry,
): Promise<PlannedTombstone[]> {
  const planned: PlannedTombstone[] = []
  for (const rule of tombstones)
    planned.push({
      table: rule.table,
      columns: Object.keys(rule.columns),
      problem: await tryTombstone(target, plan, rule).then(() => null, problemOf),
    })
  return planned
}

/** Whoever looks at a plan need not be allowed to write: that is the worker's. */
function problemOf(error: unknown): string | null {
  if (!(error instanceof LetheError)) throw error
  return error.code === 'E_DATABASE_PRIVILEGE' ? null : `${error.code}: ${error.message}`
}
