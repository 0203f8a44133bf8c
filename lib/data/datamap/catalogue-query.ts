/** The catalogue's SQL. Everything is qualified with pg_catalog: a user's own object of the same name changes nothing. */
import { z } from 'zod'
import type { CatalogueSource, CatalogueTable, Index } from './catalogue-shape.ts'
import { keyType } from './key-text.ts'
import { tableKey, type TableKey, type TableName } from './names.ts'
import { baseType, equalityOf } from './types.ts'

const relation = z.object({
  oid: z.string(),
  schema: z.string(),
  table: z.string(),
  relkind: z.enum(['r', 'p', 'f']),
  partition: z.boolean(),
  row_security: z.boolean(),
  forced: z.boolean(),
  owner: z.string(),
  estimate: z.coerce.number(),
})
const columnRow = z.object({
  oid: z.string(),
  name: z.string(),
  type: z.string(),
  not_null: z.boolean(),
  generated: z.boolean(),
  exact: z.boolean(),
  folds: z.boolean(),
})
const indexRow = z.object({
  oid: z.string(),
  columns: z.array(z.string()),
  is_unique: z.boolean(),
  is_primary: z.boolean(),
  predicate: z.string().nullable(),
})
const triggerRow = z.object({
  oid: z.string(),
  name: z.string(),
  is_row: z.boolean(),
  on_delete: z.boolean(),
  on_update: z.boolean(),
  function: z.string(),
})
const ruleRow = z.object({ oid: z.string(), name: z.string(), event: z.enum(['update', 'delete']) })
const foreignKeyRow = z.object({
  name: z.string(),
  from_oid: z.string(),
  to_oid: z.string(),
  columns: z.array(z.string()),
  refs: z.array(z.string()),
  on_delete: z.enum(['a', 'r', 'c', 'n', 'd']),
  deferrable: z.boolean(),
})
const inheritanceRow = z.object({ child_oid: z.string(), parent_oid: z.string(), partition: z.boolean() })
const viewReadRow = z.object({ view_oid: z.string(), reads_oid: z.string() })
const materialisedViewRow = z.object({
  oid: z.string(),
  schema: z.string(),
  table: z.string(),
  populated: z.boolean(),
  unique_index: z.boolean(),
})

export interface RawCatalogue {
  relations: z.infer<typeof relation>[]
  columns: z.infer<typeof columnRow>[]
  indexes: z.infer<typeof indexRow>[]
  triggers: z.infer<typeof triggerRow>[]
  rules: z.infer<typeof ruleRow>[]
  foreignKeys: z.infer<typeof foreignKeyRow>[]
  inheritance: z.infer<typeof inheritanceRow>[]
  viewReads: z.infer<typeof viewReadRow>[]
  materialisedViews: z.infer<typeof materialisedViewRow>[]
  /** The table that stands for a relation: itself, or the topmost parent of a partition. */
  names: ReadonlyMap<string, TableName>
  topmost: ReadonlyMap<string, string>
}

const userSchemas = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`
const attributeNames = (key: string, oid: string) =>
  `ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(${key}) WITH ORDINALITY AS u(num, place)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = ${oid} AND a.attnum = u.num ORDER BY u.place)`

export async function readCatalogue(db: CatalogueSource, schemas: readonly string[]): Promise<RawCatalogue> {
  const inheritance = await db.query(
    inheritanceRow,
    `SELECT i.inhrelid::text AS child_oid, i.inhparent::text AS parent_oid, c.relispartition AS partition
       FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
      WHERE c.relkind IN ('r', 'p', 'f')`,
  )
  const all = await db.query(
    relation,
    // reltuples is -1 until the first ANALYZE; the statistics collector's count or 100 bytes a row then stand in.
    `SELECT c.oid::text, n.nspname::text AS schema, c.relname::text AS table, c.relkind::text AS relkind,
            c.relispartition AS partition, c.relrowsecurity AS row_security, c.relforcerowsecurity AS forced,
            pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
            CASE WHEN c.relkind = 'p' THEN 0
                 WHEN c.reltuples >= 0 THEN greatest(c.reltuples::bigint, 0)
                 WHEN c.relkind = 'f' THEN 0
                 ELSE greatest(pg_catalog.pg_stat_get_live_tuples(c.oid), pg_catalog.pg_relation_size(c.oid) / 100) END::text AS estimate
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND ${userSchemas}
      ORDER BY n.nspname, c.relname`,
  )
  const topmost = topmostParents(all, inheritance)
  const byOid = new Map(all.map((row) => [row.oid, row]))
  const inSchemas = new Set(all.filter((row) => schemas.includes(row.schema)).map((row) => row.oid))
  const foreignKeys = (
    await db.query(
      foreignKeyRow,
      // conparentid: the copies PostgreSQL makes for partitions say nothing new.
      `SELECT k.conname::text AS name, k.conrelid::text AS from_oid, k.confrelid::text AS to_oid,
              ${attributeNames('k.conkey', 'k.conrelid')} AS columns, ${attributeNames('k.confkey', 'k.confrelid')} AS refs,
              k.confdeltype::text AS on_delete, k.condeferrable AS deferrable
         FROM pg_catalog.pg_constraint k
        WHERE k.contype = 'f' AND k.conparentid = 0
        ORDER BY k.conrelid::regclass::text, k.conname`,
    )
  ).filter((fk) => inSchemas.has(fk.from_oid) || inSchemas.has(fk.to_oid))
  const wanted = new Set([...inSchemas, ...foreignKeys.flatMap((fk) => [fk.from_oid, fk.to_oid])])
  for (const [oid, top] of topmost) if (wanted.has(top) || wanted.has(oid)) wanted.add(oid).add(top)
  const relations = all.filter((row) => wanted.has(row.oid))
  const oids = [relations.map((row) => row.oid)]
  const names = new Map(
    relations.flatMap((row) => {
      const top = byOid.get(topmost.get(row.oid) ?? row.oid)
      return top === undefined ? [] : [[row.oid, { schema: top.schema, table: top.table }] as const]
    }),
  )
  return {
    relations,
    inheritance,
    foreignKeys,
    names,
    topmost,
    columns: await db.query(
      columnRow,
      `SELECT a.attrelid::text AS oid, a.attname::text AS name, pg_catalog.format_type(base.oid, base.typmod) AS type,
              a.attnotnull OR y.typnotnull AS not_null, a.attgenerated <> '' AS generated, ${equalityOf}
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid ${baseType}
        WHERE a.attrelid = ANY ($1::text[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attrelid, a.attnum`,
      oids,
    ),
    indexes: await db.query(
      indexRow,
      // indkey also lists INCLUDE columns and 0 for expressions: only the plain columns before the first expression count.
      `SELECT i.indrelid::text AS oid, i.indisunique AS is_unique, i.indisprimary AS is_primary,
              ARRAY(SELECT a.attname::text
                      FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS place
                      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[place]
                     WHERE place < coalesce((SELECT min(p) FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) p WHERE i.indkey[p] = 0), 1000)
                     ORDER BY place) AS columns,
              pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         JOIN pg_catalog.pg_am am ON am.oid = c.relam
        WHERE i.indrelid = ANY ($1::text[]::oid[]) AND i.indisvalid AND i.indislive AND am.amname IN ('btree', 'hash')
        ORDER BY i.indrelid, c.relname`,
      oids,
    ),
    triggers: await db.query(
      triggerRow,
      `SELECT t.tgrelid::text AS oid, t.tgname::text AS name, (t.tgtype & 1) = 1 AS is_row,
              (t.tgtype & 8) = 8 AS on_delete, (t.tgtype & 16) = 16 AS on_update, t.tgfoid::regproc::text AS function
         FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid = ANY ($1::text[]::oid[]) AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgparentid = 0
        ORDER BY t.tgrelid, t.tgname`,
      oids,
    ),
    rules: await db.query(
      ruleRow,
      `SELECT r.ev_class::text AS oid, r.rulename::text AS name,
              CASE r.ev_type WHEN '2' THEN 'update' ELSE 'delete' END AS event
         FROM pg_catalog.pg_rewrite r
        WHERE r.ev_class = ANY ($1::text[]::oid[]) AND r.ev_type IN ('2', '4') AND r.ev_enabled <> 'D'
        ORDER BY r.ev_class, r.rulename`,
      oids,
    ),
    viewReads: await db.query(
      viewReadRow,
      `SELECT DISTINCT r.ev_class::text AS view_oid, d.refobjid::text AS reads_oid
         FROM pg_catalog.pg_rewrite r
         JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
          AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.ev_class
         JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
        ORDER BY 1, 2`,
    ),
    materialisedViews: await db.query(
      materialisedViewRow,
      // REFRESH … CONCURRENTLY needs a unique index on columns, without predicate, that isn't deferred.
      `SELECT c.oid::text, n.nspname::text AS schema, c.relname::text AS table, c.relispopulated AS populated,
              EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
                        AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL) AS unique_index
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'm' AND ${userSchemas}
        ORDER BY n.nspname, c.relname`,
    ),
  }
}

/** Folds partitions into their topmost parent. */
export function mapTables(raw: RawCatalogue, schemas: readonly string[]): Map<TableKey, CatalogueTable> {
  const columns = Map.groupBy(raw.columns, (row) => row.oid)
  const indexes = Map.groupBy(raw.indexes, (row) => row.oid)
  const members = Map.groupBy(raw.relations, (row) => raw.topmost.get(row.oid) ?? row.oid)
  const inherited = new Set(raw.inheritance.filter((row) => !row.partition).map((row) => row.parent_oid))
  const kinds = { r: 'table', p: 'partitioned', f: 'foreign' } as const
  const tables = new Map<TableKey, CatalogueTable>()
  for (const row of raw.relations) {
    if (raw.topmost.has(row.oid)) continue
    const family = members.get(row.oid) ?? [row]
    const ids = new Set(family.map((member) => member.oid))
    const name = { schema: row.schema, table: row.table }
    tables.set(tableKey(name), {
      name,
      key: tableKey(name),
      kind: kinds[row.relkind],
      columns: new Map(
        (columns.get(row.oid) ?? []).map((column) => [
          column.name,
          {
            name: column.name,
            type: column.type,
            notNull: column.not_null,
            generated: column.generated,
            keyType: keyType(column.type, column),
          },
        ]),
      ),
      primaryKey: (indexes.get(row.oid) ?? []).find((index) => index.is_primary)?.columns ?? null,
      indexes: commonIndexes(
        (row.relkind === 'p' ? family.filter((member) => member.relkind !== 'p') : [row]).map((member) =>
          (indexes.get(member.oid) ?? []).map((index) => ({
            columns: index.columns,
            unique: index.is_unique,
            predicate: index.predicate,
          })),
        ),
        (indexes.get(row.oid) ?? []).map((index) => ({
          columns: index.columns,
          unique: index.is_unique,
          predicate: index.predicate,
        })),
      ),
      triggers: raw.triggers
        .filter((trigger) => ids.has(trigger.oid))
        .map((trigger) => ({
          name: trigger.name,
          level: trigger.is_row ? ('row' as const) : ('statement' as const),
          onDelete: trigger.on_delete,
          onUpdate: trigger.on_update,
          function: trigger.function,
        })),
      rules: raw.rules
        .filter((rule) => ids.has(rule.oid))
        .map(({ name: rule, event }) => ({ name: rule, event })),
      rowSecurity: row.forced ? 'forced' : row.row_security ? 'on' : 'off',
      owner: row.owner,
      estimate: family.reduce((sum, member) => sum + member.estimate, 0),
      hasChildren: inherited.has(row.oid),
      inScope: schemas.includes(row.schema),
    })
  }
  return tables
}

/** Those that every partition has; unique only where the parent itself says so, since uniqueness doesn't add up. */
function commonIndexes(perMember: readonly Index[][], own: readonly Index[]): Index[] {
  const [first, ...others] = perMember
  if (first === undefined) return [...own]
  const same = (a: Index, b: Index) =>
    a.predicate === b.predicate && JSON.stringify(a.columns) === JSON.stringify(b.columns)
  return first
    .filter((index) => others.every((indexes) => indexes.some((other) => same(index, other))))
    .map((index) => ({ ...index, unique: own.some((other) => other.unique && same(index, other)) }))
}

function topmostParents(
  relations: readonly z.infer<typeof relation>[],
  inheritance: readonly z.infer<typeof inheritanceRow>[],
): Map<string, string> {
  const parents = new Map(
    inheritance.filter((row) => row.partition).map((row) => [row.child_oid, row.parent_oid]),
  )
  const topmost = new Map<string, string>()
  for (const { oid } of relations) {
    let top = oid
    for (let parent = parents.get(top); parent !== undefined; parent = parents.get(top)) top = parent
    if (top !== oid) topmost.set(oid, top)
  }
  return topmost
}
