/** What names subjects of one kind: enough to write down who is meant, and never enough to destroy anything. */
import { parseTableName, tableKey, type Catalogue, type DataMap } from '../datamap/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { keyColumn } from './model/reach.ts'
import type { DeletionPlan } from './plan.ts'
import { draftPlan, refusal } from './planner.ts'

/** As a plan has it; without statements. */
export type SubjectRoot = Pick<DeletionPlan, 'store' | 'subject' | 'root' | 'key' | 'alias'>

/**
 * Where the kind's rows are and what names them, whatever findings are open. Throws E_MAP_FINDINGS, with the findings, only where
 * the root or a column of its key is not there, and E_NOT_FOUND for a subject that the store doesn't have. `alias` is null.
 */
export function keyRoot(map: DataMap, store: string, subject: string, catalogue: Catalogue): SubjectRoot {
  const { entry, table } = rootIn(map, store, subject, catalogue)
  const columns = entry.key ?? table?.primaryKey ?? []
  const key = table === undefined ? [] : columns.flatMap((column) => keyColumn(table, column) ?? [])
  if (table === undefined || key.length === 0 || key.length < columns.length)
    throw unnamed(map, store, subject, catalogue)
  return { store, subject, root: table.name, key, alias: null }
}

/**
 * Whom a key names: `keyRoot`, and through which column rows are merged. Throws as it does, and E_MAP_FINDINGS where that column is
 * not there: a merged row would stand for itself, and the rest of the person would stay.
 */
export function subjectRoot(map: DataMap, store: string, subject: string, catalogue: Catalogue): SubjectRoot {
  const root = keyRoot(map, store, subject, catalogue)
  const { entry, table } = rootIn(map, store, subject, catalogue)
  if (entry.alias === undefined || root.key.length !== 1) return root
  if (table?.columns.has(entry.alias) !== true) throw unnamed(map, store, subject, catalogue)
  return { ...root, alias: entry.alias }
}

function rootIn(map: DataMap, store: string, subject: string, catalogue: Catalogue) {
  const entry = Object.hasOwn(map.subjects, subject) ? map.subjects[subject] : undefined
  if (entry?.store !== store)
    throw new LetheError('E_NOT_FOUND', {
      message: `The map has no subject ${subject} in store ${store}.`,
      next: 'Name one of the subjects in lethe.yaml.',
    })
  const name = parseTableName(entry.root)
  return { entry, table: name === null ? undefined : catalogue.tables.get(tableKey(name)) }
}

function unnamed(map: DataMap, store: string, subject: string, catalogue: Catalogue): LetheError {
  const { findings } = draftPlan(map, store, { subject }, catalogue)
  return refusal(
    store,
    findings.filter(({ accepted }) => accepted === null),
  )
}
