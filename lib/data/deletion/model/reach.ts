/** Which tables belong to a root, and by which edges. Only ownership is followed: whoever wrote a row doesn't own it. */
import { columnsOf, type Link, type MappedTable, type Model } from './model.ts'
import type { CatalogueTable, TableKey } from '../../datamap/index.ts'
import type { KeyColumn } from '../plan.ts'
import { isUnique } from './access.ts'

export interface Reached {
  mapped: MappedTable
  /** Owned and shared edges that lead from this table towards the root; never to the table itself. */
  links: readonly Link[]
  /** An owned edge to the table itself: whole trees go. */
  self: readonly Link[]
  depth: number
  why: string
}

/** What a plan is made for, resolved: the root's table and the columns that name one of its rows. */
export interface Target {
  model: Model
  subject: string
  root: MappedTable
  key: readonly KeyColumn[]
  tenant: KeyColumn | null
  alias: string | null
  reached: ReadonlyMap<TableKey, Reached>
}

/** Follows the edges outwards from `root`, nearest first. Ignored tables are not entered. */
export function reach(model: Model, root: TableKey): Map<TableKey, Reached> {
  const reached = new Map<TableKey, Reached>()
  let ring = new Map<TableKey, string>([[root, '']])
  for (let depth = 1; ring.size > 0; depth += 1) {
    const next = new Map<TableKey, string>()
    for (const [to, path] of ring)
      for (const link of model.links) {
        if (link.to !== to || !leads(link) || link.from === root || reached.has(link.from)) continue
        const mapped = model.tables.get(link.from)
        if (mapped === undefined || mapped.entry.action === 'ignore' || link.from === to) continue
        const why = path === '' ? hop(link) : `${hop(link)}; ${path}`
        reached.set(link.from, { mapped, links: [], self: [], depth, why })
        next.set(link.from, why)
      }
    ring = next
  }
  for (const [key, entry] of reached) {
    const links = model.links.filter(
      (link) => link.from === key && leads(link) && (link.to === root || reached.has(link.to)),
    )
    reached.set(key, {
      ...entry,
      links: links.filter((link) => link.to !== key),
      self: links.filter((link) => link.to === key),
    })
  }
  return reached
}

/** The target of a plan for a kind of subject, without what is wrong with it; null: it has no key. */
export function subjectTarget(model: Model, subject: string): Target | null {
  const known = model.subjects.get(subject)
  const root = known === undefined ? undefined : model.tables.get(known.root)
  const names = known?.entry.key ?? root?.table.primaryKey ?? null
  if (known === undefined || root === undefined || names === null) return null
  const key = names.flatMap((name) => keyColumn(root.table, name) ?? [])
  if (key.length < names.length) return null
  const { tenant, alias } = known.entry
  return {
    model,
    subject,
    root,
    key,
    tenant: tenant === undefined ? null : keyColumn(root.table, tenant),
    alias: alias ?? null,
    reached: reach(model, root.key),
  }
}

export function keyColumn(table: CatalogueTable, name: string): KeyColumn | null {
  const column = table.columns.get(name)
  return column === undefined ? null : { name, ...column.keyType }
}

/** The columns of the link's owner side, by which one row of `to` is to be told from the others. */
export function ownerColumns(link: Link): readonly string[] {
  return link.pointing === link.from ? link.references : link.columns
}

/** Whether a row of the link's `from` has one owner at most by it, as far as the catalogue proves. */
export function isProven(model: Model, link: Link): boolean {
  const table = model.catalogue.tables.get(link.to)
  return (
    (link.foreignKey !== null && link.pointing === link.from) ||
    (table !== undefined && isUnique(table, ownerColumns(link)))
  )
}

export function leads(link: Link): boolean {
  return link.kind === 'owned' || link.kind === 'shared'
}

/** One step of a path in words. */
export function hop(link: Link): string {
  const when = link.when === undefined ? '' : ` where ${link.when.column} is ${link.when.equals}`
  return link.pointing === link.from
    ? `${link.kind} by ${link.to} through ${columnsOf(link.from, link.columns)}${when}`
    : `${link.kind} by ${link.to}, which points at it through ${columnsOf(link.to, link.columns)}${when}`
}
