/** The Individual that a contact or lead names: told to be forgotten, and kept, since it holds that wish. */
import { z } from 'zod'
import { slices } from '../../../../base/slices/index.ts'
import { BASE, type Ask } from './client.ts'
import { recordId, type Found } from './find.ts'
import { outcomes, PER_CALL } from './remove.ts'
import { pieces, queryAll, quote } from './soql.ts'

export const INDIVIDUAL = 'Individual'

/** The individuals that the records name, and whether each has been told; one that is deleted is left out. */
export async function readIndividuals(
  ask: Ask,
  records: readonly Found[],
  signal: AbortSignal,
): Promise<Map<string, boolean>> {
  const ids = new Set(records.flatMap(({ individual }) => individual ?? []))
  const told = new Map<string, boolean>()
  const row = z.object({ Id: recordId, IsDeleted: z.boolean(), ShouldForget: z.boolean() })
  for (const piece of pieces(ids)) {
    const soql = `SELECT Id, IsDeleted, ShouldForget FROM ${INDIVIDUAL} WHERE Id IN (${piece.map(quote).join(',')})`
    for (const { Id, IsDeleted, ShouldForget } of await queryAll(ask, 'read individuals', row, soql, signal))
      if (!IsDeleted) told.set(Id, ShouldForget)
  }
  return told
}

/** By id: null, or the code of the refusal. */
export async function forget(
  ask: Ask,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, string | null>> {
  const result = new Map<string, string | null>()
  for (const piece of slices(ids, PER_CALL)) {
    const records = piece.map((id) => ({ attributes: { type: INDIVIDUAL }, id, ShouldForget: true }))
    const body = { allOrNone: false, records }
    const path = `${BASE}/composite/sobjects`
    const answers = await ask('forget individuals', outcomes(piece), { method: 'PATCH', path, body }, signal)
    for (const [turn, id] of piece.entries()) result.set(id, answers[turn] ?? null)
  }
  return result
}
