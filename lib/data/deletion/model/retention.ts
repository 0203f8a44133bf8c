/** Which rows stay although they belong to a root that goes, until when, and what that means for the root itself. */
import { anyOf, fromTable, type Membership } from './membership.ts'
import { columnsOf, type Link } from './model.ts'
import { sqlColumn, type TableKey, type TableEntry } from '../../datamap/index.ts'
import { leads, type Target } from './reach.ts'

export interface Keeper {
  table: TableKey
  why: string
  /** Over root row `root`: rows that stay name it. */
  condition: string
  /** Scalar over `root`; null: no end is known. */
  until: string | null
}

export interface Retention {
  /** Condition over row `t`: it stays. Null: rows of this table never do. */
  stays(table: TableKey): string | null
  keepers: readonly Keeper[]
  keptCondition: string | null
  keptUntil: string | null
}

/** Whether staying rows let go of the row this link points to. */
export function releases(link: Link, entry: TableEntry): boolean {
  const replaced = link.columns.some((column) => {
    const by = entry.pseudonymise?.[column]
    return by !== undefined && 'set' in by && by.set === null
  })
  return (link.pointing === link.from && replaced) || (link.then !== null && link.then !== 'keep')
}

/** An `until` that can't be computed yet counts as not reached: what nobody can date is not destroyed. */
export function notYet(until: string): string {
  return `coalesce((${until})::timestamptz > now(), true)`
}

export function retention(target: Target, rows: Membership): Retention {
  const { model } = target
  const entryOf = (key: TableKey) => model.tables.get(key)?.entry
  const held = (link: Link) => {
    const entry = entryOf(link.from)
    return entry !== undefined && !releases(link, entry)
  }

  function stays(table: TableKey, seen: readonly TableKey[] = []): string | null {
    const entry = entryOf(table)
    if (entry?.action === 'pseudonymise') return 'true'
    if (entry?.action !== 'retain' || entry.retain === undefined || seen.includes(table)) return null
    const path = [...seen, table]
    if (entry.retain.until === 'parent') {
      return anyOf(
        model.links
          .filter((link) => link.from === table && leads(link) && link.pointing === table)
          .flatMap((link) => {
            const parent = stays(link.to, path)
            return parent === null ? [] : [besides(link.to, link.references, parent, link.columns)]
          }),
      )
    }
    // A retained row keeps the retained row it hangs from, however old that one is.
    const children = model.links
      .filter(
        (link) =>
          link.pointed === table &&
          link.from === link.pointing &&
          leads(link) &&
          held(link) &&
          target.reached.has(link.from) &&
          entryOf(link.from)?.action === 'retain' &&
          entryOf(link.from)?.retain?.until !== 'parent',
      )
      .flatMap((link) => {
        const child = stays(link.from, path)
        return child === null ? [] : [besides(link.from, link.columns, child, link.references)]
      })
    return anyOf([notYet(entry.retain.until), ...children])
  }

  /** A row of `table`, for which `condition` over `t` holds, carries in `columns` what row `t` outside has in `own`. */
  function besides(
    table: TableKey,
    columns: readonly string[],
    condition: string,
    own: readonly string[],
  ): string {
    const listed = columns.map((column, place) => `${sqlColumn('t', column)} AS k${place + 1}`)
    const match = own.map((column, place) => `held.k${place + 1} = ${sqlColumn('t', column)}`)
    return `EXISTS (SELECT 1 FROM (SELECT ${listed.join(', ')} FROM ${fromTable(target, table)} t WHERE ${condition}) held WHERE ${match.join(' AND ')} OFFSET 0)`
  }

  const keepers = [...rootItself(), ...retained(), ...pseudonymised(), ...naming()]

  function rootItself(): Keeper[] {
    const { entry, key } = target.root
    if (entry.action === 'pseudonymise')
      return [{ table: key, why: 'the map pseudonymises the root itself', condition: 'true', until: null }]
    if (entry.action !== 'retain' || entry.retain === undefined || entry.retain.until === 'parent') return []
    const same = target.key.map(({ name }) => `${sqlColumn('t', name)} = ${sqlColumn('root', name)}`)
    const where = [...same, notYet(entry.retain.until)].join(' AND ')
    return [keeper(key, `retained: ${entry.retain.ground}`, where, entry.retain.until)]
  }

  function retained(): Keeper[] {
    return [...target.reached.values()].flatMap(({ mapped, links }) => {
      const { retain, action } = mapped.entry
      const stay = stays(mapped.key)
      if (action !== 'retain' || retain === undefined || stay === null || !links.some(held)) return []
      if (retain.until === 'parent') return []
      const where = `${rows.belongs(mapped.key, 't', { by: 'row' }, held)} AND ${stay}`
      return [keeper(mapped.key, `retained: ${retain.ground}`, where, retain.until)]
    })
  }

  function pseudonymised(): Keeper[] {
    return [...target.reached.values()].flatMap(({ mapped, links }) => {
      const bound = (link: Link) => link.to === target.root.key && link.foreignKey !== null && held(link)
      if (mapped.entry.action !== 'pseudonymise' || !links.some(bound)) return []
      const where = rows.belongs(mapped.key, 't', { by: 'row' }, bound)
      return [
        keeper(mapped.key, 'its rows stay, pseudonymised, and a foreign key needs the root', where, null),
      ]
    })
  }

  function naming(): Keeper[] {
    return model.links.flatMap((link) => {
      if (link.to !== target.root.key || link.kind === 'owned' || link.then !== 'keep') return []
      const entry = entryOf(link.from)
      const parts = [rows.joined(link, 't', { by: 'row' })]
      if (link.from === target.root.key)
        parts.push(
          `NOT (${target.key.map(({ name }) => `${sqlColumn('t', name)} = ${sqlColumn('root', name)}`).join(' AND ')})`,
        )
      else if (link.kind === 'shared') parts.push(`NOT (${rows.soleOwner(link, 't', { by: 'row' })})`)
      else if (target.reached.has(link.from) && entry?.action === 'delete')
        parts.push(`NOT coalesce(${rows.belongs(link.from, 't', { by: 'row' })}, false)`)
      const until = entry?.retain?.until
      return [
        keeper(
          link.from,
          `${link.kind} through ${columnsOf(link.from, link.columns)}: the map keeps that name`,
          parts.map((part) => (part.includes(' OR ') ? `(${part})` : part)).join(' AND '),
          until === undefined || until === 'parent' ? null : until,
        ),
      ]
    })
  }

  function keeper(table: TableKey, why: string, where: string, until: string | null): Keeper {
    const from = `${fromTable(target, table)} t WHERE ${where}`
    return {
      table,
      why,
      condition: exists(from),
      until:
        until === null ? null : `(SELECT max(coalesce((${until})::timestamptz, 'infinity')) FROM ${from})`,
    }
  }

  const open = keepers.filter((entry) => entry.until === null).map((entry) => entry.condition)
  const ends = keepers.flatMap((entry) => (entry.until === null ? [] : [entry.until]))
  const last = ends.length === 0 ? 'NULL::timestamptz' : `nullif(greatest(${ends.join(', ')}), 'infinity')`
  return {
    stays: (table) => stays(table),
    keepers,
    keptCondition: keepers.length === 0 ? null : anyOf(keepers.map((entry) => entry.condition)),
    keptUntil:
      keepers.length === 0
        ? null
        : open.length === 0
          ? last
          : `CASE WHEN ${anyOf(open)} THEN NULL ELSE ${last} END`,
  }
}

/**
 * EXISTS that stays a subquery per outer row where its condition is more than one comparison: as a join, PostgreSQL may
 * choose to read all of a large table instead of probing its index. OFFSET 0 is the documented fence for that.
 */
export function exists(from: string): string {
  const simple = !/ OR |ARRAY\(| IN \(/.test(from)
  return `EXISTS (SELECT 1 FROM ${from}${simple ? '' : ' OFFSET 0'})`
}
