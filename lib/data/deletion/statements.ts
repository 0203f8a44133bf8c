/** The SQL of each step. Shapes only: values come as parameters, or stand in the map. */
import { matches, rowAddress } from './model/access.ts'
import {
  bareType,
  type CatalogueTable,
  type ForeignKey,
  sqlColumn,
  sqlIdentifier,
  sqlLiteral,
  type TableKey,
  type TableEntry,
} from '../datamap/index.ts'
import { anyOf, fromTable, type Membership, type Roots, type Scope } from './model/membership.ts'
import type { Link } from './model/model.ts'
import type { KeyColumn, PlanStep } from './plan.ts'
import type { Target } from './model/reach.ts'
import type { Retention } from './model/retention.ts'
import { upSql } from './walks.ts'

export type Statement = Pick<PlanStep, 'collected' | 'sql' | 'pieceSql' | 'returns' | 'bare'>

export interface Statements {
  collect(link: Link): Statement
  /** Rows of `table` that stay: nobody moves them before the commit. */
  lock(table: TableKey): Statement
  remove(table: TableKey): Statement
  pseudonymise(table: TableKey): Statement
  /** Nulls or repoints the link's columns in rows that point to a row that goes. */
  detach(link: Link, which: 'all' | 'staying'): Statement
  /** Nulls columns of rows that are about to go, to open a circle. */
  open(key: ForeignKey, columns: readonly string[]): Statement
  /** Root rows that stay let go of the row they point to. */
  detachRoot(link: Link): Statement
  /** Merged rows that stay let go of the row they were merged into, which may go. */
  detachMerged(alias: string): Statement
  removeRoot(): Statement
  pseudonymiseRoot(): Statement
}

export function collectId(link: Link): string {
  return `collect ${link.from} from ${link.to}(${link.columns.join(', ')})`
}

/**
 * The columns a detach sets: those that name the row, and not a tenant that it shares. As the map says, or those that may be null and
 * that no other edge or foreign key uses and no kind of subject calls its tenant. One null is enough to let go.
 */
export function detachable({ model }: Target, link: Link): readonly string[] {
  if (link.nulls !== null) return link.nulls
  const table = model.catalogue.tables.get(link.pointing)
  const beside = (columns: readonly string[]) => !link.columns.every((column) => columns.includes(column))
  const used = new Set([
    ...model.links
      .filter((other) => other.pointing === link.pointing && beside(other.columns))
      .flatMap(({ columns }) => columns),
    ...model.catalogue.foreignKeys
      .filter((key) => key.from === link.pointing && beside(key.columns))
      .flatMap(({ columns }) => columns),
    ...[...model.subjects.values()].flatMap(({ root, entry }) =>
      link.columns.filter(
        (column, place) =>
          (root === link.pointing && entry.tenant === column) ||
          (root === link.pointed && entry.tenant !== undefined && entry.tenant === link.references[place]),
      ),
    ),
  ])
  return link.columns.filter((name) => {
    const column = table?.columns.get(name)
    return column?.notNull === false && !column.generated && !used.has(name)
  })
}

export function statements(target: Target, rows: Membership, kept: Retention): Statements {
  const { model } = target
  const width = target.key.length
  const catalogued = (key: TableKey) => model.catalogue.tables.get(key)

  /** A statement's parameters; `own` is the table whose rows it removes: there each pointing row must be gone. */
  function scopeFor(own: TableKey | null): { scope: Scope; roots: Roots; next: () => number } {
    const links: Link[] = []
    const scope: Scope = {
      collected: [],
      collect(link, alias) {
        const id = collectId(link)
        if (!scope.collected.includes(id)) {
          scope.collected.push(id)
          links.push(link)
        }
        const offset =
          width +
          links.slice(0, scope.collected.indexOf(id)).reduce((sum, one) => sum + one.columns.length, 0)
        const table = catalogued(link.from)
        const arrays = link.references.map(
          (name, place) => `$${offset + place + 1}::text[]::${table?.columns.get(name)?.type ?? 'text'}[]`,
        )
        const names = link.references.map((name) => sqlColumn(alias, name))
        const listed =
          names.length === 1
            ? `${names[0]} = ANY (${arrays[0]})`
            : `(${names.join(', ')}) IN (SELECT * FROM unnest(${arrays.join(', ')}))`
        return own === link.from ? [listed, ...unnamed(link.from, alias)].join(' AND ') : listed
      },
    }
    const next = () => width + links.reduce((sum, one) => sum + one.columns.length, 0) + 1
    return { scope, roots: { by: 'batch', scope }, next }
  }

  /** Nothing points at row `alias` of `table` any more, through any edge that would make it somebody's. */
  function unnamed(table: TableKey, alias: string, going?: (key: TableKey) => string | null): string[] {
    return holders(target, table).map((link) => {
      // Conditions over a row that goes are written over `t`; the row itself then stands under another alias.
      const other = going === undefined ? 'o' : 't'
      const match = link.columns.map(
        (name, place) => `${sqlColumn(other, name)} = ${sqlColumn(alias, link.references[place] ?? '')}`,
      )
      const goes = going?.(link.pointing) ?? null
      const unless = goes === null ? '' : ` AND NOT coalesce(${goes}, false)`
      return `NOT EXISTS (SELECT 1 FROM ${fromTable(target, link.pointing)} ${other} WHERE ${match.join(' AND ')}${unless})`
    })
  }

  function staying(table: TableKey): string | null {
    const stay = kept.stays(table)
    return stay === null ? null : `NOT (${stay})`
  }

  /** The statement, and the same for at most $n rows: found first by an inner select, then changed by their address. */
  function bounded(
    table: TableKey,
    scope: ReturnType<typeof scopeFor>,
    verb: { head: (alias: string) => string; where: string; inner?: string; joined?: 'FROM' },
  ): Statement {
    const known = catalogued(table)
    const collected = scope.scope.collected
    const where = typed(verb.where)
    const sql = `${verb.head('t')} WHERE ${where}`
    const address = known === undefined ? null : rowAddress(known)
    if (address === null) return { collected, sql }
    const found = `FROM ${fromTable(target, table)} t WHERE ${where}${verb.inner ?? ''} LIMIT $${scope.next()}::bigint`
    const up = upSql(target, table, 't')
    if (up === null) {
      const inner = `SELECT ${address('t').join(', ')} ${found}`
      return { collected, sql, pieceSql: `${verb.head('d')} WHERE ${matches(address('d'), inner)}` }
    }
    const names = address('t').map((_, place) => `a${place + 1}`)
    const listed = address('t').map((column, place) => `${column} AS ${names[place]}`)
    const picked = names.map((name) => `picked.${name}`)
    const same = address('d').map((column, place) => `${column} = ${picked[place]}`)
    return {
      collected,
      sql,
      pieceSql: `WITH picked AS MATERIALIZED (SELECT ${listed.join(', ')}, ${up} AS up ${found}) ${verb.head('d')} ${verb.joined ?? 'USING'} picked WHERE ${matches(address('d'), `SELECT ${picked.join(', ')} FROM picked`)} AND ${same.join(' AND ')} RETURNING picked.up`,
    }
  }

  return {
    collect(link) {
      const { scope, roots } = scopeFor(null)
      const inherited = scope.collect
      scope.collect = (other, alias) => (other === link ? null : (inherited?.(other, alias) ?? null))
      const going = (key: TableKey): string | null => {
        if (key === target.root.key) return rows.inBatch('t')
        if (!target.reached.has(key)) return null
        const stays = staying(key)
        return `(${rows.belongs(key, 't', roots)}${stays === null ? '' : ` AND ${stays}`})`
      }
      const where = [rows.joined(link, 'x', roots, staying), ...unnamed(link.from, 'x', going)].join(' AND ')
      const listed = link.references.map((name, place) => `${sqlColumn('x', name)}::text AS k${place + 1}`)
      return {
        collected: scope.collected,
        returns: link.references.map((name) => keyColumn(catalogued(link.from), name)),
        // Locked, so that nobody can point at such a row between this step and its removal.
        sql: `SELECT ${listed.join(', ')} FROM ${fromTable(target, link.from)} x WHERE ${typed(where)} FOR UPDATE OF x`,
      }
    },

    lock(table) {
      const { scope, roots } = scopeFor(null)
      const where = [rows.belongs(table, 't', roots), kept.stays(table) ?? 'false'].join(' AND ')
      return {
        collected: scope.collected,
        sql: `SELECT FROM ${fromTable(target, table)} t WHERE ${typed(where)} FOR SHARE OF t`,
      }
    },

    remove(table) {
      const scope = scopeFor(table)
      const stays = staying(table)
      const where = [rows.belongs(table, 't', scope.roots), ...(stays === null ? [] : [stays])].join(' AND ')
      return bounded(table, scope, {
        head: (alias) => `DELETE FROM ${fromTable(target, table)} ${alias}`,
        where,
        inner: leavesFirst(table),
      })
    },

    pseudonymise(table) {
      const scope = scopeFor(null)
      const entry = model.tables.get(table)?.entry
      const sets = replacements(entry, catalogued(table), 't')
      const stay = kept.stays(table)
      const changed = sets.map(
        ({ column, value }) => `${sqlColumn('t', column)}::text IS DISTINCT FROM (${value})::text`,
      )
      const where = [
        rows.belongs(table, 't', scope.roots),
        ...(stay === null || stay === 'true' ? [] : [stay]),
        anyOf(changed),
      ].join(' AND ')
      // A piece changes rows under the alias d: the replacements are rendered for it.
      const listed = (alias: string) =>
        replacements(entry, catalogued(table), alias)
          .map(({ column, value }) => `${sqlIdentifier(column)} = ${value}`)
          .join(', ')
      return bounded(table, scope, {
        head: (alias) => `UPDATE ${fromTable(target, table)} ${alias} SET ${listed(alias)}`,
        joined: 'FROM',
        where,
      })
    },

    detach(link, which) {
      const scope = scopeFor(null)
      const stay = which === 'staying' ? kept.stays(link.from) : null
      const repoint = typeof link.then === 'object' && link.then !== null ? link.then.repoint : null
      const sets =
        repoint === null
          ? detachable(target, link).map((column) => `${sqlIdentifier(column)} = NULL`)
          : link.columns.map(
              (column, place) => `${sqlIdentifier(column)} = ${sqlLiteral(repoint[place] ?? '')}`,
            )
      const where = [
        rows.joined(link, 't', scope.roots, staying),
        ...(stay === null || stay === 'true' ? [] : [stay]),
        ...(repoint === null ? [] : [unlike(link, repoint)]),
      ].join(' AND ')
      return bounded(link.from, scope, {
        head: (alias) => `UPDATE ${fromTable(target, link.from)} ${alias} SET ${sets.join(', ')}`,
        joined: 'FROM',
        where,
      })
    },

    open(key, columns) {
      const scope = scopeFor(null)
      const filled = columns.map((column) => `${sqlColumn('t', column)} IS NOT NULL`)
      const parts = [
        key.from === target.root.key ? rows.inBatch('t') : rows.belongs(key.from, 't', scope.roots),
        ...filled,
      ]
      // A root may stay: it lets go only of what goes.
      if (key.from === target.root.key) {
        const stays = staying(key.to)
        const match = key.columns.map((column) => sqlColumn('t', column))
        const going = `SELECT ${key.references.map((name) => sqlColumn('t', name)).join(', ')} FROM ${fromTable(target, key.to)} t WHERE ${rows.belongs(key.to, 't', scope.roots)}${stays === null ? '' : ` AND ${stays}`}`
        parts.push(
          match.length === 1 ? `${match[0]} = ANY (ARRAY(${going}))` : `(${match.join(', ')}) IN (${going})`,
        )
      } else {
        const stays = staying(key.from)
        if (stays !== null) parts.push(stays)
      }
      return bounded(key.from, scope, {
        head: (alias) =>
          `UPDATE ${fromTable(target, key.from)} ${alias} SET ${columns.map((column) => `${sqlIdentifier(column)} = NULL`).join(', ')}`,
        joined: 'FROM',
        where: parts.join(' AND '),
      })
    },

    detachRoot(link) {
      const named = detachable(target, link)
      const sets = (named.length > 0 ? named : link.columns).map(
        (column) => `${sqlIdentifier(column)} = NULL`,
      )
      const filled = link.columns.map((column) => `${sqlColumn('root', column)} IS NOT NULL`)
      const where = [rows.inBatch('root'), `(${kept.keptCondition ?? 'false'})`, ...filled].join(' AND ')
      return {
        collected: [],
        sql: `UPDATE ${fromTable(target, target.root.key)} root SET ${sets.join(', ')} WHERE ${where}`,
      }
    },

    detachMerged(alias) {
      const where = [
        rows.inBatch('root'),
        `(${kept.keptCondition ?? 'false'})`,
        `${sqlColumn('root', alias)} IS NOT NULL`,
      ]
      return {
        collected: [],
        sql: `UPDATE ${fromTable(target, target.root.key)} root SET ${sqlIdentifier(alias)} = NULL WHERE ${where.join(' AND ')}`,
      }
    },

    removeRoot() {
      const condition = kept.keptCondition === null ? '' : ` AND NOT (${kept.keptCondition})`
      return {
        collected: [],
        sql: `DELETE FROM ${fromTable(target, target.root.key)} root WHERE ${rows.inBatch('root')}${condition}`,
      }
    },

    pseudonymiseRoot() {
      const sets = replacements(target.root.entry, target.root.table, 'root').map(
        ({ column, value }) => `${sqlIdentifier(column)} = ${value}`,
      )
      return {
        collected: [],
        sql: `UPDATE ${fromTable(target, target.root.key)} root SET ${sets.join(', ')} WHERE ${rows.inBatch('root')} AND (${kept.keptCondition ?? 'false'})`,
      }
    },
  }

  /** A parameter that a condition doesn't need must still have a type. */
  function typed(where: string): string {
    const idle = target.key.map((_, place) => `$${place + 1}::text[]`).filter((text) => !where.includes(text))
    return [where, ...idle.map((text) => `${text} IS NOT NULL`)].join(' AND ')
  }

  /** In pieces, a tree loses its leaves first: a piece that took a parent alone would break the children's key. */
  function leavesFirst(table: TableKey): string {
    return model.catalogue.foreignKeys
      .filter((fk) => fk.from === table && fk.to === table)
      .map((fk) => {
        const match = fk.columns.map(
          (column, place) => `${sqlColumn('c', column)} = ${sqlColumn('t', fk.references[place] ?? '')}`,
        )
        const other = catalogued(table)
        const address = other === undefined ? null : rowAddress(other)
        const itself =
          address === null ? '' : ` AND (${address('c').join(', ')}) <> (${address('t').join(', ')})`
        return ` AND NOT EXISTS (SELECT 1 FROM ${fromTable(target, table)} c WHERE ${match.join(' AND ')}${itself})`
      })
      .join('')
  }
}

/** Edges through which a row of `table` is still somebody's: owned from the parent side, or a name the map keeps. */
export function holders(target: Target, table: TableKey): Link[] {
  return target.model.links.filter(
    (link) =>
      link.pointed === table &&
      ((link.kind === 'owned' && link.from === table && link.pointing !== table) ||
        (link.kind !== 'owned' && link.to === table && link.then === 'keep')),
  )
}

function unlike(link: Link, repoint: readonly string[]): string {
  return `NOT (${link.columns.map((column, place) => `${sqlColumn('t', column)} = ${sqlLiteral(repoint[place] ?? '')}`).join(' AND ')})`
}

function keyColumn(table: CatalogueTable | undefined, name: string): KeyColumn {
  return { name, ...(table?.columns.get(name)?.keyType ?? { type: 'text', oneText: true }) }
}

/**
 * A keyed hash reads as `ps_` and hexadecimal digits, and is left alone when it is met again: a second run changes
 * nothing. The executor sets `lethe.pseudonym_key` in its transaction.
 */
export function replacements(
  entry: TableEntry | undefined,
  table: CatalogueTable | undefined,
  alias: string,
): { column: string; value: string }[] {
  return Object.entries(entry?.pseudonymise ?? {}).map(([column, by]) => {
    if ('set' in by) return { column, value: by.set === null ? 'NULL' : sqlLiteral(String(by.set)) }
    if ('sql' in by) return { column, value: rowExpression(by.sql, alias) }
    const digits = hashDigits(table?.columns.get(column)?.type ?? 'text') ?? 64
    const old = sqlColumn(alias, column)
    return {
      column,
      value: `CASE WHEN ${old} ~ '^ps_[0-9a-f]{${digits}}$' THEN ${old} ELSE 'ps_' || left(encode(sha256(convert_to(current_setting('lethe.pseudonym_key') || ':' || ${old}::text, 'UTF8')), 'hex'), ${digits}) END`,
    }
  })
}

/** Hexadecimal digits that a column of this type has room for; null: too few to be a pseudonym, or no text. */
export function hashDigits(type: string): number | null {
  if (!['text', 'character varying'].includes(bareType(type))) return null
  const limit = /\((\d+)\)/.exec(type)?.[1]
  const room = limit === undefined ? 64 : Math.min(64, Number(limit) - 3)
  return room >= 16 ? room : null
}

/** The map's expressions are written over `t`; under another alias the row is given that name by a subquery. */
function rowExpression(sql: string, alias: string): string {
  return alias === 't' ? `(${sql})` : `(SELECT (${sql}) FROM (SELECT ${alias}.*) t)`
}
