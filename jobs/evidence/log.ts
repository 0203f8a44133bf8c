/** Keeps the evidence log going: indexes, signed heads, copies in the bucket. One process leads; another takes over. */
import { LetheError } from '../../lib/base/errors/index.ts'
import {
  HEAD_KEY,
  lockedUntil,
  logKeys,
  publishHead,
  recordLock,
  sequence,
  signHead,
  type LogKeys,
  type NewHead,
} from '../../lib/record/evidence/index.ts'
import { acquireLease } from '../../lib/record/ledger/index.ts'
import { withBucket } from '../bucket.ts'
import type { Context } from '../context.ts'
import { askWitnesses, tryWitnesses } from './witness.ts'

export const evidenceLease = 'evidence'

export interface EvidenceRound {
  /** False: another process leads, and nothing was done. */
  leader: boolean
  added: number
  /** Leaves of the log. */
  size: number
  signed: boolean
  /** Witnesses that cosigned the newest head in this round. */
  cosigned: number
  published: boolean
}

/**
 * One round, idempotent. What is signed doesn't wait for the bucket: while that is away the log grows and heads are signed,
 * and the next round that reaches it copies everything. A witness that is away holds up neither. Throws what `sequence`,
 * `signHead`, `askWitnesses` and `publishHead` throw.
 */
export async function evidenceRound(context: Context, newsSeconds?: number): Promise<EvidenceRound> {
  const { control, config, workerId } = context
  const lease = await acquireLease(control, evidenceLease, workerId, config.file.operations.lease_seconds)
  const round: EvidenceRound = {
    leader: lease !== null,
    added: 0,
    size: 0,
    signed: false,
    cosigned: 0,
    published: false,
  }
  if (lease === null) return round
  for (let more = true; more;) {
    const batch = await sequence(control)
    round.added += batch.added
    round.size = batch.size
    more = batch.more
  }
  const keys = evidenceKeys(context)
  if (keys === null) return round
  round.signed =
    (await signHead(control, keys, newsSeconds, async (head) => askOutside(context, head))) !== null
  round.cosigned = await askWitnesses(context, round.signed)
  round.published = await publish(context, keys)
  return round
}

/**
 * Before a head is stored: what others have seen of the log. First the bucket, so that no witness is shown a fork that it
 * hasn't heard of. A bucket that is away holds up no signature: heads are compared again when it is back.
 */
async function askOutside(context: Context, head: NewHead): Promise<void> {
  try {
    const published = await publishedHead(context)
    if (published !== null) await head.continues(published)
  } catch (error) {
    if (!(error instanceof LetheError) || error.code !== 'E_BUCKET_UNAVAILABLE') throw error
  }
  await tryWitnesses(context, head)
}

/** Null while the configuration names no log. Throws E_CONFIG_MISSING, E_EVIDENCE_KEY. */
export function evidenceKeys({ config, keystore }: Pick<Context, 'config' | 'keystore'>): LogKeys | null {
  const { evidence } = config.file
  if (evidence === undefined) return null
  return logKeys(evidence.origin, keystore, evidence.key === undefined ? null : config.secret(evidence.key))
}

/** How long contents are kept: a PostgreSQL interval. */
export function keepFor({ config }: Pick<Context, 'config'>): string {
  return config.file.evidence?.keep ?? '6 years'
}

async function publish(context: Context, keys: LogKeys): Promise<boolean> {
  const period = context.config.file.locked_bucket?.lock
  if (period === undefined) return false
  const until = await lockedUntil(context.control, period)
  if (until === null) return false
  return withBucket(
    context,
    async (bucket) => (await publishHead(context.control, bucket, keys, until)) !== null,
  )
}

/** The newest head as the bucket holds it; null where none is configured or written. Throws E_BUCKET_UNAVAILABLE. */
export async function publishedHead(context: Context): Promise<string | null> {
  if (context.config.file.locked_bucket === undefined) return null
  return withBucket(context, async (bucket) => (await bucket.get(HEAD_KEY))?.toString('utf8') ?? null)
}

/** Records that somebody typed the configured period back. Throws E_USAGE for any other text, E_BUCKET_* where the bucket can't lock. */
export async function confirmLock(context: Context, typed: string): Promise<string> {
  const period = context.config.file.locked_bucket?.lock
  if (period === undefined)
    throw new LetheError('E_USAGE', { message: 'The configuration names no locked_bucket.' })
  if (typed !== period)
    throw new LetheError('E_USAGE', {
      message: `The configuration locks each object for ${period}, not for ${typed}.`,
      next: 'Type the configured period, or change locked_bucket.lock first. What is locked, nobody can unlock.',
    })
  await withBucket(context, async (bucket) => bucket.requireLock())
  await recordLock(context.control, period)
  return period
}
