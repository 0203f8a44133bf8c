/** Ledger before destruction: the entries are durable in the control database, and in the locked bucket where there is one. */
import type { DeletionPlan, RootKey } from '../../lib/datamap/index.ts'
import { LetheError } from '../../lib/errors/index.ts'
import {
  addJournal,
  journalStatus,
  openScope,
  voidErasures,
  writeErasures,
  writeJournal,
  type Claim,
  type JournalEntry,
} from '../../lib/ledger/index.ts'
import { lockUntil, withBucket } from '../bucket.ts'
import type { Context } from '../context.ts'

/** Subjects that go from one store, under one plan. */
export interface Going {
  store: string
  plan: Pick<DeletionPlan, 'store' | 'subject' | 'mapVersion' | 'hash'>
  subjects: readonly RootKey[]
}

/**
 * Resolves once every entry is where a restore can't take it back. Idempotent: what has its entry gets no second one. Throws
 * E_FENCED, E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK (nothing may be destroyed then).
 */
export async function enter(context: Context, claim: Claim, going: readonly Going[]): Promise<void> {
  const { control } = context
  const fresh = await control.transaction(async (tx) => {
    const journal: JournalEntry[] = []
    for (const part of going) {
      const scope = await openScope(tx, scopeOf(claim, part))
      const hashes = hashesOf(context, part)
      const keyId = context.vault.currentKeyId
      const written = await writeErasures(
        tx,
        claim,
        scope,
        hashes.map((hash) => ({ hash, keyId })),
      )
      if (written > 0) journal.push(entryOf('erase', part, keyId, hashes))
    }
    await addJournal(tx, claim.id, journal)
    return journal.length > 0
  })
  if (fresh) await copy(context)
  else if ((await journalStatus(control)).waiting > 0) await copy(context)
}

/** The entries of who stays after all. Durable before a cancel or a hold is told. */
export async function revoke(context: Context, claim: Claim, staying: readonly Going[]): Promise<void> {
  const keyId = context.vault.currentKeyId
  await context.control.transaction(async (tx) => {
    const journal: JournalEntry[] = []
    for (const part of staying) {
      const hashes = hashesOf(context, part)
      const voided = await voidErasures(tx, claim, await openScope(tx, scopeOf(claim, part)), hashes)
      if (voided > 0) journal.push(entryOf('void', part, keyId, hashes))
    }
    await addJournal(tx, claim.id, journal)
  })
  await copy(context)
}

/** Writes what the bucket doesn't have yet; nothing where none is configured. */
export async function copy(context: Context): Promise<void> {
  const settings = context.config.file.evidence?.bucket
  if (settings === undefined) return
  const lockedUntil = await lockUntil(context.control, settings.lock)
  if (lockedUntil === null)
    throw new LetheError('E_BUCKET_LOCK', {
      message: `The erasure ledger can't be copied to bucket ${settings.name}: nobody has confirmed how long its objects are locked.`,
      next: `Confirm it once: lethe evidence lock "${settings.lock}".`,
      facts: { bucket: settings.name },
    })
  await withBucket(context, async (bucket) => {
    await writeJournal(context.control, (key, body) =>
      bucket.put(key, body, { contentType: 'application/json', lockedUntil }),
    )
  })
}

function scopeOf(claim: Claim, { store, plan }: Going) {
  return {
    runId: claim.id,
    store,
    subjectKind: plan.subject,
    mapVersion: plan.mapVersion,
    planHash: plan.hash,
    variant: `${plan.subject}:${plan.hash.slice(0, 16)}`,
  }
}

/** The same person has the same hash in every store's scope: the key's own store stands in it. */
function hashesOf({ vault }: Pick<Context, 'vault'>, { plan, subjects }: Going): Buffer[] {
  return subjects.map((key) => vault.subjectHash(plan.store, plan.subject, key))
}

function entryOf(
  entry: JournalEntry['entry'],
  { store, plan }: Going,
  keyId: string,
  hashes: readonly Buffer[],
): JournalEntry {
  return {
    entry,
    store,
    subjectKind: plan.subject,
    mapVersion: plan.mapVersion,
    planHash: plan.hash,
    keyId,
    subjects: hashes.map((hash) => hash.toString('hex')),
  }
}
