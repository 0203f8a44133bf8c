/** The erasure ledger's way into the locked bucket: whoever is about to destroy anything brings it there first. */
import { databaseNow } from '../lib/base/db/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import { writeJournal, writeObject, type Journalled } from '../lib/record/ledger/index.ts'
import { errorFields } from '../lib/base/log/index.ts'
import { lockUntil, openLockedBucket } from './bucket.ts'
import type { Context } from './context.ts'
import type { StepResult } from './kind.ts'

/** How often a run that waits for its bucket looks again. */
const LOOK_AGAIN_MS = 60_000

/** One connection to the bucket; objects go there one after the other, in the order of their numbers. */
export interface Journal {
  /** Resolves once the object and all before it are in the bucket. Throws E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK. */
  bring(entries: Journalled): Promise<void>
  /** The object may follow with the next one; `catchUp` waits for it. */
  leave(entries: Journalled): void
  /** Resolves once nothing is missing that was written before. Throws as `bring`. */
  catchUp(): Promise<void>
  close(): void
}

/** Null where no bucket is configured: then entries get no object. */
export function openJournal(context: Context): Journal | null {
  const { control, config } = context
  const settings = config.file.locked_bucket
  if (settings === undefined) return null
  const { name, lock } = settings
  const bucket = openLockedBucket(context)
  let confirmed: Date | null = null
  const put = async (key: string, body: Buffer): Promise<void> => {
    confirmed ??= await lockUntil(control, lock)
    if (confirmed === null) throw unconfirmed(name, lock)
    await bucket.put(key, body, { contentType: 'application/json', lockedUntil: confirmed })
  }
  /** Nobody here knows yet whether anything was missing before. */
  let unknown = true
  /** Numbers: all to `last` are there, where that isn't 0; `left` may follow. */
  let last = 0
  let left = 0
  let turn: Promise<void> = Promise.resolve()
  // Two batches side by side would otherwise write each other's object too.
  const inTurn = async (act: () => Promise<void>): Promise<void> => {
    const mine = turn.then(act)
    turn = mine.catch(() => undefined)
    return mine
  }
  const writeAll = async (): Promise<void> => {
    last = Math.max(last, await writeJournal(control, put))
    unknown = false
  }
  return {
    bring: async ({ object, complete }) =>
      inTurn(async () => {
        if (object === null && complete) return
        const next = object !== null && object.number > last && (complete || object.number === last + 1)
        if (!next) return writeAll()
        await writeObject(control, put, object)
        last = object.number
        if (complete) unknown = false
      }),
    leave({ object }) {
      if (object !== null) left = object.number
    },
    catchUp: async () => inTurn(async () => (unknown || left > last ? writeAll() : undefined)),
    close: () => bucket.close(),
  }
}

/** Writes what the bucket doesn't have yet; nothing where none is configured. Throws E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK. */
export async function copy(context: Context): Promise<void> {
  const journal = openJournal(context)
  try {
    await journal?.catchUp()
  } finally {
    journal?.close()
  }
}

function unconfirmed(name: string, lock: string): LetheError {
  return new LetheError('E_BUCKET_LOCK', {
    message: `The erasure ledger can't be copied to bucket ${name}: nobody has confirmed how long its objects are locked.`,
    next: `Confirm it once: lethe evidence lock "${lock}".`,
    facts: { bucket: name },
  })
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
