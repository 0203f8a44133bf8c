/**
 * SQL conditions that say whether row `alias` of a table belongs to roots. One renderer serves two uses: "of this batch"
 * (roots by parameters) and "of root row `root`" (a correlated condition).
 *
 * Inner rows are fetched as arrays (`= ANY (ARRAY(SELECT …))`) on purpose: that always becomes an index scan, where a
 * join may become a read of the whole table for every batch, and an OR of IN or EXISTS always does.
 */
import { indexed, matches, rowAddress } from './access.ts'
import { castColumn, castValue, isText, spellings } from './compare.ts'
import type { Link } from './model.ts'
import {
  isWritten,
  sqlColumn,
  sqlIdentifier,
  sqlLiteral,
  sqlTable,
  type TableKey,
} from '../../datamap/index.ts'
import { isProven, leads, type Reached, type Target } from './reach.ts'

/** The parameters of one statement: the root key's arrays, then those of the collect steps it uses. */
export interface Scope {
  /** Ids of collect steps used so far, in order. */
  collected: string[]
  /** Renders "row `alias` was collected for this link"; null: compute it from the tables (in a collect step itself). */
  collect: ((link: Link, alias: string) => string | null) | null
}

/** A batch's roots, or the one root row `root` of an outer query. */
export type Roots = { by: 'batch'; scope: Scope } | { by: 'row' }

export interface Membership {
  /** Row `alias` of `table` belongs to the roots by any of its edges, or only by those that `only` keeps. */
  belongs(table: TableKey, alias: string, roots: Roots, only?: (link: Link) => boolean): string
  /** Row `alias`, reached by this shared link, has no other owner who stays. */
  soleOwner(link: Link, alias: string, roots: Roots): string
  /** Row `alias` of the link's pointing (or pointed) side is joined to a row of the roots by this link. */
  joined(link: Link, alias: string, roots: Roots, near?: (table: TableKey) => string | null): string
  /** Row `alias` of the link's `from` and row `near` of its `to` belong together by its columns. */
  paired(link: Link, alias: string, near: string): string
  /** Row `alias` of the root table is one of this batch's. */
  inBatch(alias: string): string
}

export function membership(target: Target): Membership {
  const columnType = (table: TableKey, column: string) =>
    target.model.catalogue.tables.get(table)?.columns.get(column)?.type ?? 'text'
  const keyNames = target.key.map((column) => column.name)
  const keyArray = (place: number) => `$${place + 1}::text[]::${target.key[place]?.type ?? 'text'}[]`

  const inBatch = (alias: string) =>
    keyNames.length === 1
      ? `${sqlColumn(alias, keyNames[0] ?? '')} = ANY (${keyArray(0)})`
      : `(${keyNames.map((name) => sqlColumn(alias, name)).join(', ')}) IN (SELECT * FROM unnest(${keyNames.map((_, place) => keyArray(place)).join(', ')}))`

  /** The near row is a root. */
  function joinedToRoot(link: Link, alias: string, roots: Roots): string {
    const [own, far] = sides(link)
    const near = own.map((_, place) => value(link, 'root', place))
    if (roots.by === 'row') return paired(link, alias, 'root')
    const keyed = link.from === link.pointing && far.every((name) => keyNames.includes(name))
    const [only] = far
    if (keyed && far.length === 1 && keyNames.length === 1 && only !== undefined) {
      const [pointingColumn = ''] = own
      const pointingType = columnType(link.from, pointingColumn)
      const keyType = columnType(link.to, only)
      const value = listed('k.v', keyType, pointingType)
      // without one text, a key is compared by the root's own column: by its collation, whatever that of the other side
      const oneText = target.key.every((key) => key.oneText)
      if (oneText && value === 'k.v') return `${column(link, alias, 0)} = ANY (${keyArray(0)})`
      // as text, rows are found by what stands in the root's own row
      if (oneText && target.key.every(isWritten))
        return `${column(link, alias, 0)} = ANY (ARRAY(SELECT ${value} FROM unnest(${keyArray(0)}) AS k(v)))`
    }
    const from = `${tableSql(link.to)} root WHERE ${[inBatch('root'), ...filled(link, 'root')].join(' AND ')}`
    return within(link, alias, near, from)
  }

  function paired(link: Link, alias: string, near: string): string {
    return [
      ...sides(link)[0].map((_, place) => `${column(link, alias, place)} ${equals(link, near, place)}`),
      ...filled(link, near),
    ].join(' AND ')
  }

  function joined(
    link: Link,
    alias: string,
    roots: Roots,
    path: readonly TableKey[] = [],
    only: (link: Link) => boolean = () => true,
    near: (table: TableKey) => string | null = () => null,
  ): string {
    return [led(link, alias, roots, path, only, near), ...sameValueElsewhere(link, alias, roots, path)].join(
      ' AND ',
    )
  }

  function led(
    link: Link,
    alias: string,
    roots: Roots,
    path: readonly TableKey[],
    only: (link: Link) => boolean,
    near: (table: TableKey) => string | null,
  ): string {
    const polymorphic = link.when === undefined || link.pointing !== link.from ? null : whenSql(link, alias)
    const collected =
      roots.by === 'batch' && link.pointing !== link.from ? roots.scope.collect?.(link, alias) : null
    if (typeof collected === 'string') return collected
    let condition: string
    if (link.to === target.root.key) condition = joinedToRoot(link, alias, roots)
    else {
      // The inner row is `t` again, so that conditions written over `t` fit; it sees nothing of the outer one.
      const values = link.columns.map((_, place) => value(link, 't', place))
      const parts = [
        belongs(link.to, 't', roots, only, leads(link) ? [...path, link.from] : path),
        ...filled(link, 't'),
      ]
      if (link.when !== undefined && link.pointing !== link.from) parts.push(whenSql(link, 't'))
      const extra = near(link.to)
      if (extra !== null) parts.push(extra)
      condition = within(link, alias, values, `${tableSql(link.to)} t WHERE ${parts.join(' AND ')}`)
    }
    if (
      link.when !== undefined &&
      link.pointing !== link.from &&
      link.to === target.root.key &&
      roots.by === 'row'
    )
      condition = `${condition} AND ${whenSql(link, 'root')}`
    return polymorphic === null ? condition : `${condition} AND ${polymorphic}`
  }

  function belongs(
    table: TableKey,
    alias: string,
    roots: Roots,
    only: (link: Link) => boolean = () => true,
    path: readonly TableKey[] = [],
  ): string {
    const entry = target.reached.get(table)
    if (entry === undefined) return 'false'
    const links = entry.links.filter((link) => only(link) && !path.includes(link.to))
    const branch = (link: Link, name: string) =>
      [
        joined(link, name, roots, path, only),
        ...(roots.by === 'batch' ? otherOwnersGone(entry, link, name, roots, path) : []),
      ].join(' AND ')
    const branches = links.map((link) => branch(link, alias))
    const address = rowAddress(entry.mapped.table)
    const simple = branches.every((condition) => !condition.includes('SELECT '))
    // Several ways, and one of them through other rows: each is looked up by itself. As an OR over the table, one
    // branch that matches many rows would make PostgreSQL read the whole table and try the other on every row.
    const direct =
      links.length < 2 || simple || address === null
        ? anyOf(branches)
        : matches(
            address(alias),
            links
              .map(
                (link) =>
                  `SELECT ${address('x').join(', ')} FROM ${tableSql(table)} x WHERE ${branch(link, 'x')}`,
              )
              .join(' UNION ALL '),
          )
    return entry.self.length === 0 || branches.length === 0
      ? direct
      : anyOf([direct, ...trees(entry, alias, roots, path)])
  }

  /** A shared row goes only when each other owner is nobody or goes in the same batch. */
  function otherOwnersGone(
    entry: Reached,
    link: Link,
    alias: string,
    roots: Roots,
    path: readonly TableKey[],
  ): string[] {
    if (link.kind !== 'shared') return []
    return target.model.links
      .filter((other) => other.from === entry.mapped.key && other.kind === 'shared' && other !== link)
      .map((other) => {
        const absent = other.columns.map((name) => `${sqlColumn(alias, name)} IS NULL`)
        const different = other.when === undefined ? [] : [`${whenSql(other, alias)} IS NOT TRUE`]
        const goes =
          entry.links.includes(other) && !path.includes(other.to)
            ? [`(${joined(other, alias, roots, path)})`]
            : []
        return `(${[...absent, ...different, ...goes].join(' OR ')})`
      })
  }

  /** Where the catalogue doesn't prove that one row at most has the value: no row has it that stays. */
  function sameValueElsewhere(link: Link, alias: string, roots: Roots, path: readonly TableKey[]): string[] {
    if (isProven(target.model, link)) return []
    const other = alias === 'same' ? 'same2' : 'same'
    const goes =
      link.to !== target.root.key
        ? belongs(link.to, other, roots, undefined, [...path, link.from])
        : roots.by === 'batch'
          ? inBatch(other)
          : keyNames.map((name) => `${sqlColumn(other, name)} = ${sqlColumn('root', name)}`).join(' AND ')
    const parts = [paired(link, alias, other), `(${goes}) IS NOT TRUE`]
    if (link.pointing !== link.from) parts.push(whenSql(link, other))
    return [`NOT EXISTS (SELECT FROM ${tableSql(link.to)} ${other} WHERE ${parts.join(' AND ')})`]
  }

  /** Rows whose ancestor in the same table belongs. */
  function trees(entry: Reached, alias: string, roots: Roots, path: readonly TableKey[]): string[] {
    return entry.self.map((link) => {
      const table = tableSql(link.from)
      const cols = link.references.map((name, place) => `${sqlColumn('x', name)} AS k${place + 1}`)
      const next = link.references.map((name) => sqlColumn('c', name))
      const join = link.columns.map((name, place) => `${sqlColumn('c', name)} = tree.k${place + 1}`)
      const names = link.references.map((_, place) => `k${place + 1}`)
      const seed = anyOf(
        entry.links
          .filter((other) => !path.includes(other.to))
          .map((other) => joined(other, 'x', roots, path)),
      )
      const tree = `WITH RECURSIVE tree AS (SELECT ${cols.join(', ')} FROM ${table} x WHERE ${seed} UNION SELECT ${next.join(', ')} FROM ${table} c JOIN tree ON ${join.join(' AND ')}) SELECT ${names.join(', ')} FROM tree`
      const own = link.references.map((name) => sqlColumn(alias, name))
      return own.length === 1 ? `${own[0]} = ANY (ARRAY(${tree}))` : `(${own.join(', ')}) IN (${tree})`
    })
  }

  /** An empty text is no value: it leads to nobody. A key of the root is given, and may be one. */
  function filled(link: Link, near: string): string[] {
    const [own, far] = sides(link)
    return far.flatMap((name, place) => {
      const types = [columnType(link.to, name), columnType(link.from, own[place] ?? '')]
      const isKey = link.to === target.root.key && keyNames.includes(name)
      return !isKey && types.some(isText) ? [`${sqlColumn(near, name)}::text <> ''`] : []
    })
  }

  /** The far row's columns (of table `from`), and the near row's (of table `to`). */
  function sides(link: Link): readonly [readonly string[], readonly string[]] {
    return link.pointing === link.from ? [link.columns, link.references] : [link.references, link.columns]
  }

  function column(link: Link, alias: string, place: number): string {
    const [own, far] = sides(link)
    const [name = '', other = ''] = [own[place], far[place]]
    return castColumn(sqlColumn(alias, name), columnType(link.to, other), columnType(link.from, name))
  }

  /** In the select list of a subquery: one row for each way in which it may be written. */
  function value(link: Link, alias: string, place: number): string {
    return listed(...nearColumn(link, alias, place))
  }

  /** The same behind the far column of one row. */
  function equals(link: Link, alias: string, place: number): string {
    const near = nearColumn(link, alias, place)
    const several = spellings(...near)
    return several === null ? `= ${castValue(...near)}` : `= ANY (ARRAY[${several.join(', ')}])`
  }

  function listed(near: string, from: string, to: string): string {
    const several = spellings(near, from, to)
    return several === null ? castValue(near, from, to) : `unnest(ARRAY[${several.join(', ')}])`
  }

  /** The near row's column, its type, and that of the far row's. */
  function nearColumn(link: Link, alias: string, place: number): [string, string, string] {
    const [own, far] = sides(link)
    const [name = '', other = ''] = [own[place], far[place]]
    return [sqlColumn(alias, other), columnType(link.to, other), columnType(link.from, name)]
  }

  /** With an index, by an array (see above); without one the table is read once, and a hash is better than an array. */
  function within(link: Link, alias: string, near: readonly string[], from: string): string {
    const own = near.map((_, place) => column(link, alias, place))
    const [names] = sides(link)
    const table = target.model.catalogue.tables.get(link.from)
    const when = link.pointing === link.from ? link.when : undefined
    const place = table === undefined ? -1 : names.findIndex((name) => indexed(table, [name], when))
    const narrowed = `${own[place]} = ANY (ARRAY(SELECT ${near[place]} FROM ${from}))`
    if (own.length === 1 && place === 0) return narrowed
    const whole = `(${own.join(', ')}) IN (SELECT ${near.join(', ')} FROM ${from})`
    // A row comparison with what another row leads to is asked of every row: the index narrows them first.
    return place === -1 ? whole : `${narrowed} AND ${whole}`
  }

  function tableSql(key: TableKey): string {
    return fromTable(target, key)
  }

  return {
    belongs,
    joined: (link, alias, roots, near) => joined(link, alias, roots, [], undefined, near),
    paired,
    inBatch,
    soleOwner(link, alias, roots) {
      const entry = target.reached.get(link.from)
      const gone = entry === undefined ? [] : otherOwnersGone(entry, link, alias, roots, [])
      return gone.length === 0 ? 'true' : gone.join(' AND ')
    },
  }
}

/** The table in a FROM or DELETE: ONLY where others inherit from it, since each of them has its own steps. */
export function fromTable(target: Target, key: TableKey): string {
  const table = target.model.catalogue.tables.get(key)
  if (table === undefined) return key
  return `${table.hasChildren ? 'ONLY ' : ''}${sqlTable(table.name)}`
}

export function whenSql(link: Link, alias: string): string {
  return link.when === undefined
    ? 'true'
    : `${alias}.${sqlIdentifier(link.when.column)} = ${sqlLiteral(link.when.equals)}`
}

/** Conditions joined by OR, in parentheses where there are several; `false` where there is none. */
export function anyOf(conditions: readonly string[]): string {
  if (conditions.length <= 1) return conditions[0] ?? 'false'
  return `(${conditions.map((condition) => (condition.includes(' AND ') ? `(${condition})` : condition)).join(' OR ')})`
}
