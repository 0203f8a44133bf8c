/**
 * Who else owns the rows that a plan removes. A hold on any of them keeps the row, and so the subject whose plan would take
 * it. Owners are found upwards from the row, by the columns that edges refer to, so that each step is a look-up by key.
 */
import { sqlColumn, sqlTable, type TableKey } from '../datamap/index.ts'
import { fromTable, membership, whenSql } from './model/membership.ts'
import type { Link, Model } from './model/model.ts'
import type { OwnHold, OwnerSearch } from './plan.ts'
import { leads, subjectTarget, type Target } from './model/reach.ts'

/** The application's own holds on a kind of subject, as the map declares them. */
export function ownHolds(model: Model, subject: string): OwnHold[] {
  const holds = model.subjects.get(subject)?.entry.holds ?? []
  return holds.map(({ name, sql }) => ({ name, sql }))
}

/** For every kind of subject that may own the root's row, or a row that `target` removes, besides the root itself. */
export function owners(target: Target): OwnerSearch[] {
  return [...target.model.subjects.keys()].flatMap((name) => {
    const owner = subjectTarget(target.model, name)
    if (owner === null) return []
    const searches = [...above(target, owner), ...beside(target, owner)]
    if (searches.length === 0) return []
    const rows = membership(owner)
    return [
      {
        subject: owner.subject,
        root: owner.root.table.name,
        key: owner.key,
        tenant: owner.tenant,
        tables: [...owner.reached.values()].map(({ mapped }) => ({
          table: mapped.table.name,
          belongs: rows.belongs(mapped.key, 't', { by: 'row' }),
        })),
        holds: ownHolds(target.model, name),
        searches,
      },
    ]
  })
}

/**
 * Edges by which a row of `table` may have several owners at once: another owned edge, also one to its own table, beside it. Rows that
 * are only shared go with the last of their owners, and the two halves of a polymorphic pair exclude each other.
 */
export function severalOwners(target: Target, table: TableKey): Link[] {
  const links = target.model.links.filter((link) => link.from === table && leads(link))
  const exclusive = (a: Link, b: Link) =>
    a.when !== undefined &&
    b.when !== undefined &&
    a.pointing === table &&
    b.pointing === table &&
    a.when.column === b.when.column &&
    a.when.equals !== b.when.equals
  return links.filter((link) =>
    links.some(
      (other) =>
        other !== link && !(link.kind === 'shared' && other.kind === 'shared') && !exclusive(link, other),
    ),
  )
}

type Search = OwnerSearch['searches'][number]

/** The root's own row belongs to an owner of another kind. */
function above(target: Target, owner: Target): Search[] {
  if (owner.subject === target.subject) return []
  const owns = ownerOf(owner, target.root.key, 't')
  if (owns === null) return []
  return [
    {
      before: `EXISTS (SELECT FROM (SELECT root.*) AS t, LATERAL (SELECT FROM ${sqlTable(owner.root.table.name)} AS root WHERE ${owns} AND `,
      after: ') AS owner)',
    },
  ]
}

/** Rows that go with the root belong to an owner beside it, or are owners themselves. */
function beside(target: Target, owner: Target): Search[] {
  const rows = membership(target)
  const own = owner.subject === target.subject
  return [...target.reached.values()].flatMap(({ mapped }): Search[] => {
    if (mapped.key !== owner.root.key && severalOwners(target, mapped.key).length === 0) return []
    const owns = ownerOf(owner, mapped.key, 't')
    if (owns === null) return []
    // the root itself owns them, too, and is asked for itself
    const names = target.key.map(({ name }) => name)
    const me = names.map((name, place) => `${sqlColumn('root', name)} AS k${place + 1}`).join(', ')
    const others = names.map((name, place) => `${sqlColumn('root', name)} = me.k${place + 1}`).join(' AND ')
    return [
      {
        before: `EXISTS (SELECT FROM ${fromTable(target, mapped.key)} t${own ? ` CROSS JOIN LATERAL (SELECT ${me}) AS me` : ''} WHERE (${rows.belongs(mapped.key, 't', { by: 'row' })}) AND EXISTS (SELECT FROM ${sqlTable(owner.root.table.name)} AS root WHERE ${owns}${own ? ` AND NOT (${others})` : ''} AND `,
        after: '))',
      },
    ]
  })
}

/** SQL: subject row `root` owns row `alias` of `table`, or was merged with one that does; null: no edge leads there. */
function ownerOf(owner: Target, table: TableKey, alias: string): string | null {
  const names = owner.key.map(({ name }) => name)
  const own = names.map((name) => sqlColumn('root', name))
  const ways =
    table === owner.root.key
      ? [`SELECT ${names.map((name) => sqlColumn(alias, name)).join(', ')}`]
      : paths(owner, table, alias, []).map(
          ({ from, where }) =>
            `SELECT ${names.map((name) => sqlColumn('r', name)).join(', ')} FROM ${from.join(', ')} WHERE ${where.join(' AND ')}`,
        )
  if (ways.length === 0) return null
  const keys = merged(owner, ways.join(' UNION ALL '))
  return own.length === 1 ? `${own[0]} = ANY (ARRAY(${keys}))` : `(${own.join(', ')}) IN (${keys})`
}

/** The keys, and those of the rows that were merged into them or that they were merged into. */
function merged(owner: Target, keys: string): string {
  const [key] = owner.key
  if (owner.alias === null || key === undefined) return keys
  const table = sqlTable(owner.root.table.name)
  const [id, alias] = [sqlColumn('x', key.name), sqlColumn('x', owner.alias)]
  return `WITH RECURSIVE met(k) AS ((${keys}) UNION SELECT n.k FROM met, LATERAL (SELECT ${id} AS k FROM ${table} x WHERE ${alias} = met.k UNION ALL SELECT ${alias} FROM ${table} x WHERE ${id} = met.k AND ${alias} IS NOT NULL) AS n) SELECT k FROM met`
}

interface Path {
  from: string[]
  where: string[]
}

/** Every way from row `alias` up to an owner's row, called `r`. */
function paths(owner: Target, table: TableKey, alias: string, passed: readonly TableKey[]): Path[] {
  const entry = owner.reached.get(table)
  if (entry === undefined) return []
  const rows = membership(owner)
  const tree = `u${passed.length}tree`
  const inTree = entry.self.map((link) => ancestors(owner, link, alias, tree))
  const starts = [
    { alias, from: [], where: [] },
    ...inTree.map((where) => ({ alias: tree, from: [`${fromTable(owner, table)} ${tree}`], where: [where] })),
  ]
  return starts.flatMap((start) =>
    entry.links
      .filter((link) => !passed.includes(link.to))
      .flatMap((link): Path[] => {
        const isRoot = link.to === owner.root.key
        const near = isRoot ? 'r' : `u${passed.length}`
        const from = [...start.from, `${fromTable(owner, link.to)} ${near}`]
        const where = [
          ...start.where,
          rows.paired(link, start.alias, near),
          whenSql(link, link.pointing === link.from ? start.alias : near),
        ]
        if (isRoot) return [{ from, where }]
        return paths(owner, link.to, near, [...passed, table]).map((rest) => ({
          from: [...from, ...rest.from],
          where: [...where, ...rest.where],
        }))
      }),
  )
}

/** SQL: row `tree` stands above row `alias` in the same table. */
function ancestors(owner: Target, link: Link, alias: string, tree: string): string {
  const table = fromTable(owner, link.from)
  const k = link.references.map((_, place) => `k${place + 1}`)
  const at = (name: string, columns: readonly string[]) => columns.map((column) => sqlColumn(name, column))
  const seed = at(alias, link.columns).map((column, place) => `${column} AS ${k[place]}`)
  const join = at('c', link.references).map((column, place) => `${column} = up.${k[place]}`)
  return `(${at(tree, link.references).join(', ')}) IN (WITH RECURSIVE up AS (SELECT ${seed.join(', ')} UNION SELECT ${at('c', link.columns).join(', ')} FROM ${table} c JOIN up ON ${join.join(' AND ')}) SELECT ${k.join(', ')} FROM up)`
}
