/**
 * The erasure ledger as its users see it: a sweep, a cascade, and the replay on a restored database. What is about to be
 * destroyed is entered first, and only after that is durable, in the locked bucket too where there is one, may anything go:
 * this is the one place where that order is kept.
 */
import type { Database, Transaction } from '../../base/db/index.ts'
import { HASH_VERSION, hashVersions, type HashVersion, type Keystore } from '../../base/keystore/index.ts'
import type { RootKey } from '../../data/deletion/index.ts'
import type { Claim } from '../ledger/index.ts'
import { openBucketCopy, type BucketCopy, type LockedBucket } from './bucket-copy.ts'
import { writeEntries, type ScopedHashes } from './entries.ts'
import { isMissing } from './objects.ts'
import { addOlderObjects } from './older.ts'
import { openScope, type ErasureScope } from './scopes.ts'

/** Subjects that go from one store, under one plan. */
export interface Leaving {
  scope: ErasureScope
  /** The subject's own store: its keys stand there, and its hash is made of it. */
  home: string
  keys: readonly RootKey[]
}

export interface ErasureLedger {
  /**
   * Resolves once each subject has its entry wherever it has to be; then it may be destroyed. Idempotent. Throws E_FENCED,
   * E_SCOPE_CHANGED, E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK: nothing may be destroyed then.
   */
  enter(claim: Claim, leaving: Leaving): Promise<void>
  /**
   * The same for several stores at once, in one transaction, in which `leaving` is asked. A bucket that is away holds up only
   * subjects whose entries it doesn't have. `leaving` may throw.
   */
  enterAll(claim: Claim, leaving: (tx: Transaction) => Promise<readonly Leaving[]>): Promise<void>
  /**
   * Voids the entries of subjects that stay. Durable in the control database on return; the bucket has it before it has
   * anything that follows. Idempotent. Returns how many were voided. Throws E_FENCED.
   */
  withdraw(claim: Claim, staying: Leaving): Promise<number>
  /** Resolves once the bucket has all that was written, by whomever. Throws E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK. */
  catchUp(): Promise<void>
  close(): void
}

/** `bucket: null`: none is configured, and the control database is where entries have to be. */
export function openErasureLedger(
  control: Database,
  keystore: Keystore,
  bucket: LockedBucket | null,
): ErasureLedger {
  let copy: BucketCopy | null = null
  const bucketCopy = (): BucketCopy | null =>
    bucket === null ? null : (copy ??= openBucketCopy(control, bucket))
  const scopes = new Map<string, Promise<string>>()
  let older: Promise<void> | null = null
  /** The scope, and objects of what was entered before there was a bucket: a void of it must not come first. */
  const opened = async (claim: Claim, scope: ErasureScope): Promise<string> => {
    const name = JSON.stringify(scope)
    const id = scopes.get(name) ?? openScope(control, scope)
    scopes.set(name, id)
    const scopeId = await id
    if (bucket !== null) await (older ??= addOlderObjects(control, claim))
    return scopeId
  }
  const object = bucket !== null

  return {
    async enter(claim, leaving) {
      const scopeId = await opened(claim, leaving.scope)
      const hashes = currentHashes(keystore, leaving)
      const written = await writeEntries(control, claim, 'erase', [{ scopeId, hashes }], { object })
      await bucketCopy()?.bring(written)
    },
    async enterAll(claim, leaving) {
      const about: Buffer[] = []
      const written = await control.transaction(async (tx) => {
        const scoped: ScopedHashes[] = []
        for (const part of await leaving(tx)) {
          const hashes = currentHashes(keystore, part)
          scoped.push({ scopeId: await openScope(tx, part.scope), hashes })
          about.push(...hashes.map(({ hash }) => hash))
        }
        // without a bucket too: one that is configured later gets them
        return writeEntries(tx, claim, 'erase', scoped, { object: true })
      })
      if (bucket === null || about.length === 0) return
      if (written.object === null && !(await isMissing(control, about))) return
      await bucketCopy()?.bring({ ...written, complete: written.complete && written.object !== null })
    },
    async withdraw(claim, staying) {
      const scopeId = await opened(claim, staying.scope)
      // the entry may stand under a key from before a rotation, and a version from before this one
      const hashes = hashVersions.flatMap((version) => hashesOf(keystore, staying, keystore.keyIds, version))
      const written = await writeEntries(control, claim, 'void', [{ scopeId, hashes }], { object })
      return written.entries
    },
    catchUp: async () => bucketCopy()?.catchUp(),
    close: () => copy?.close(),
  }
}

function currentHashes(keystore: Keystore, leaving: Leaving) {
  return hashesOf(keystore, leaving, [keystore.currentKeyId], HASH_VERSION)
}

function hashesOf(
  keystore: Keystore,
  { scope, home, keys }: Leaving,
  keyIds: readonly string[],
  version: HashVersion,
) {
  return keyIds.flatMap((keyId) =>
    keys.map((key) => ({
      hash: keystore.subjectHash(home, scope.subjectKind, key, keyId, version),
      keyId,
      version,
    })),
  )
}
