/** The ledger's way into the locked bucket: objects go there one after the other, in the order of their numbers. */
import { unconfirmedLock, type Bucket } from '../../base/bucket/index.ts'
import type { Database } from '../../base/db/index.ts'
import { lockedUntil } from '../evidence/index.ts'
import type { Written } from './entries.ts'
import { writeObject, writeObjects } from './objects.ts'

export interface LockedBucket {
  readonly name: string
  /** How long each object is locked: `6 years`. A person has to have confirmed exactly this period. */
  readonly lock: string
  /** Connects at its first call. */
  open: () => Bucket
}

/** One connection to the bucket. */
export interface BucketCopy {
  /** Resolves once the object and all before it are in the bucket. Throws E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK. */
  bring(written: Written): Promise<void>
  /** Resolves once nothing is missing that was written before, by whomever. Throws as `bring`. */
  catchUp(): Promise<void>
  close(): void
}

export function openBucketCopy(control: Database, { name, lock, open }: LockedBucket): BucketCopy {
  const bucket = open()
  let until: Date | null = null
  const put = async (key: string, body: Buffer): Promise<void> => {
    until ??= await lockedUntil(control, lock)
    if (until === null) throw unconfirmedLock(name, lock, 'The erasure ledger')
    await bucket.put(key, body, { contentType: 'application/json', lockedUntil: until })
  }
  /** All objects to this number are there, where that isn't 0. */
  let last = 0
  let turn: Promise<void> = Promise.resolve()
  // Two batches side by side would otherwise write each other's object too.
  const inTurn = async (act: () => Promise<void>): Promise<void> => {
    const mine = turn.then(act)
    turn = mine.catch(() => undefined)
    return mine
  }
  const writeAll = async (): Promise<void> => {
    last = Math.max(last, await writeObjects(control, put))
  }
  return {
    bring: async ({ object, complete }) =>
      inTurn(async () => {
        if (object === null && complete) return
        const next = object !== null && object.number > last && (complete || object.number === last + 1)
        if (!next) return writeAll()
        await writeObject(control, put, object)
        last = object.number
      }),
    catchUp: async () => inTurn(writeAll),
    close: () => bucket.close(),
  }
}
