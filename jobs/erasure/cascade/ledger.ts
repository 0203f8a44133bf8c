/** What a cascade tells the erasure ledger: who goes from which store under which plan, and who stays after all. */
import { everySubjectHash } from '../../../lib/base/keystore/index.ts'
import type { DeletionPlan, RootKey } from '../../../lib/data/deletion/index.ts'
import type { Transaction } from '../../../lib/base/db/index.ts'
import { voidEntriesSince, type Leaving } from '../../../lib/record/erasures/index.ts'
import { holdClaim, type Claim } from '../../../lib/record/ledger/index.ts'
import { lastFinished, type ErasureRequest } from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { CASCADE } from '../../standstill.ts'

type Plan = Pick<DeletionPlan, 'store' | 'subject' | 'mapVersion' | 'hash'>

/** Subjects that go from one store, under one plan; their hash is the same in every store's scope. */
export function leaving(claim: Claim, store: string, plan: Plan, keys: readonly RootKey[]): Leaving {
  const scope = {
    runId: claim.id,
    store,
    subjectKind: plan.subject,
    mapVersion: plan.mapVersion,
    planHash: plan.hash,
    // a run outlives a change of the map: what it does then stands under the new one
    variant: `${plan.subject}:${plan.mapVersion.slice(0, 16)}:${plan.hash.slice(0, 16)}`,
  }
  return { scope, home: plan.store, keys }
}

/**
 * Voids the entries of a person who stays after all, whichever run wrote them: a request outlives its runs. `stores`: in these
 * only. In a transaction that keeps a worker from writing new ones: under the request's lock, or the only worker's own; the
 * copy in the bucket follows (`catchUp`).
 */
export async function revoke(
  tx: Transaction,
  { keystore }: Pick<Context, 'keystore'>,
  request: ErasureRequest,
  keys: readonly RootKey[],
  stores?: readonly string[],
): Promise<void> {
  const { store, subjectKind } = request
  const hashes = keys.flatMap((key) => everySubjectHash(keystore, store, subjectKind, key))
  await voidEntriesSince(tx, {
    runKind: CASCADE,
    subjectKind,
    hashes,
    // what an earlier request of the same person erased stays erased
    since: await lastFinished(tx, request, hashes),
    ...(stores === undefined ? {} : { stores }),
  })
}

export interface Staying {
  request: ErasureRequest
  keys: readonly RootKey[]
  /** Places that were not called yet. */
  stores: readonly string[]
}

/** Voids the entries of who is held before a place was called. Throws E_FENCED. */
export async function withhold(context: Context, claim: Claim, staying: readonly Staying[]): Promise<void> {
  await context.control.transaction(async (tx) => {
    await holdClaim(tx, claim)
    for (const { request, keys, stores } of staying) await revoke(tx, context, request, keys, stores)
  })
}
