/** The erasure ledger of a context, and what a run does while the locked bucket takes nothing. */
import { databaseNow } from '../lib/base/db/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import { errorFields } from '../lib/base/log/index.ts'
import { openErasureLedger, type ErasureLedger } from '../lib/record/erasures/index.ts'
import { openLockedBucket } from './bucket.ts'
import type { Context } from './context.ts'
import type { StepResult } from './kind.ts'

/** How often a run that waits for its bucket looks again. */
const LOOK_AGAIN_MS = 60_000

/** For one step of a run: its connection to the bucket, if there is one, ends with `close`. */
export function openLedger(context: Context): ErasureLedger {
  const settings = context.config.file.locked_bucket
  const bucket =
    settings === undefined
      ? null
      : { name: settings.name, lock: settings.lock, open: () => openLockedBucket(context) }
  return openErasureLedger(context.control, context.keystore, bucket)
}

/** Writes what the bucket doesn't have yet; nothing where none is configured. Throws E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK. */
export async function catchUpBucket(context: Context): Promise<void> {
  const ledger = openLedger(context)
  try {
    await ledger.catchUp()
  } finally {
    ledger.close()
  }
}

/** The bucket takes nothing now; once it does, the same work goes on. */
export function isBucketAway(error: unknown): error is LetheError {
  return error instanceof LetheError && ['E_BUCKET_UNAVAILABLE', 'E_BUCKET_LOCK'].includes(error.code)
}

/**
 * A run whose bucket takes nothing waits for it, however long that is, and uses no attempt. What `act` did before must be
 * harmless when repeated.
 */
export async function awaitBucket(
  { control, log }: Pick<Context, 'control' | 'log'>,
  run: string,
  act: () => Promise<StepResult>,
): Promise<StepResult> {
  try {
    return await act()
  } catch (error) {
    if (!isBucketAway(error)) throw error
    log.warn({ run, error: errorFields(error) }, 'nothing is removed until the bucket has the ledger')
    const now = await databaseNow(control)
    return { kind: 'wait', for: error.code, until: new Date(now.getTime() + LOOK_AGAIN_MS) }
  }
}
