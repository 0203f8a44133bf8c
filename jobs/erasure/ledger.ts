/** Ledger before destruction: the entries are durable in the control database, and in the locked bucket where there is one. */
import type { DeletionPlan, RootKey } from '../../lib/data/deletion/index.ts'
import type { Transaction } from '../../lib/base/db/index.ts'
import {
  addJournal,
  holdClaim,
  isMissing,
  openScope,
  voidErasuresSince,
  writeErasures,
  type Claim,
  type JournalEntry,
} from '../../lib/record/ledger/index.ts'
import { lastFinished, type ErasureRequest } from '../../lib/record/requests/index.ts'
import type { Context } from '../context.ts'
import { copy } from '../journal.ts'
import { CASCADE } from '../standstill.ts'

export { copy }

/** Subjects that go from one store, under one plan. */
export interface Going {
  store: string
  plan: Pick<DeletionPlan, 'store' | 'subject' | 'mapVersion' | 'hash'>
  subjects: readonly RootKey[]
}

/**
 * Resolves once every entry is where a restore can't take it back. Idempotent: what has its entry gets no second one. `going`
 * is asked in the transaction of the entries. Throws E_FENCED, E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK (nothing may be destroyed
 * then).
 */
export async function enter(
  context: Context,
  claim: Claim,
  going: (tx: Transaction) => Promise<readonly Going[]>,
): Promise<void> {
  const { control } = context
  const about: Buffer[] = []
  await control.transaction(async (tx) => {
    const journal: JournalEntry[] = []
    for (const part of await going(tx)) {
      const scope = await openScope(tx, scopeOf(claim, part))
      const hashes = hashesOf(context, part)
      const keyId = context.vault.currentKeyId
      const written = await writeErasures(
        tx,
        claim,
        scope,
        hashes.map((hash) => ({ hash, keyId })),
      )
      if (written > 0) journal.push(entryOf(part, keyId, hashes))
      about.push(...hashes)
    }
    await addJournal(tx, claim.id, journal)
  })
  // a dead bucket holds up only those it doesn't have
  if (context.config.file.locked_bucket !== undefined && (await isMissing(control, about)))
    await copy(context)
}

/**
 * Voids the entries of a person who stays after all, whichever run wrote them: a request outlives its runs. `stores`: in these
 * only. In a transaction that keeps a worker from writing new ones: under the request's lock, or the only worker's own; the
 * copy in the bucket follows (`copy`).
 */
export async function revoke(
  tx: Transaction,
  context: Context,
  request: ErasureRequest,
  keys: readonly RootKey[],
  stores?: readonly string[],
): Promise<void> {
  const { vault } = context
  const { store, subjectKind } = request
  const hashes = keys.flatMap((key) =>
    vault.keyIds.map((keyId) => vault.subjectHash(store, subjectKind, key, keyId)),
  )
  const voided = await voidErasuresSince(tx, {
    runKind: CASCADE,
    subjectKind,
    hashes,
    // what an earlier request of the same person erased stays erased
    since: await lastFinished(tx, request, hashes),
    ...(stores === undefined ? {} : { stores }),
  })
  for (const [runId, some] of Map.groupBy(voided, (one) => one.runId))
    await addJournal(
      tx,
      runId,
      some.map(({ runId: _run, hash, ...scope }) => ({
        entry: 'void',
        subjectKind,
        subjects: [hash.toString('hex')],
        ...scope,
      })),
    )
}

export interface Staying {
  request: ErasureRequest
  keys: readonly RootKey[]
  /** Places that were not called yet. */
  stores: readonly string[]
}

/** Voids the entries of who is held before a place was called. Durable, also in the bucket, on return. Throws E_FENCED. */
export async function withhold(context: Context, claim: Claim, staying: readonly Staying[]): Promise<void> {
  await context.control.transaction(async (tx) => {
    await holdClaim(tx, claim)
    for (const { request, keys, stores } of staying) await revoke(tx, context, request, keys, stores)
  })
  await copy(context)
}

function scopeOf(claim: Claim, { store, plan }: Going) {
  return {
    runId: claim.id,
    store,
    subjectKind: plan.subject,
    mapVersion: plan.mapVersion,
    planHash: plan.hash,
    // a run outlives a change of the map: what it does then stands under the new one
    variant: `${plan.subject}:${plan.mapVersion.slice(0, 16)}:${plan.hash.slice(0, 16)}`,
  }
}

/** The same person has the same hash in every store's scope: the key's own store stands in it. */
function hashesOf({ vault }: Pick<Context, 'vault'>, { plan, subjects }: Going): Buffer[] {
  return subjects.map((key) => vault.subjectHash(plan.store, plan.subject, key))
}

function entryOf({ store, plan }: Going, keyId: string, hashes: readonly Buffer[]): JournalEntry {
  return {
    entry: 'erase',
    store,
    subjectKind: plan.subject,
    mapVersion: plan.mapVersion,
    planHash: plan.hash,
    keyId,
    subjects: hashes.map((hash) => hash.toString('hex')),
  }
}
