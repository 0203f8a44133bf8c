/** Names of PostgreSQL's types, as `format_type` prints them. */

/** The type without length or precision. */
export function bareType(type: string): string {
  return type.replace(/\s*\([^)]*\)/, '')
}

/** SQL, where `baseType` stands in the FROM clause: columns that `keyType` (key-text.ts) is told. */
export const equalityOf = `base.typtype = 'e' AS exact,
    coalesce((SELECT NOT c.collisdeterministic FROM pg_catalog.pg_collation c WHERE c.oid = a.attcollation), false) AS folds`

/**
 * SQL, for a FROM clause after attribute `a` and its type `y`: `base(oid, typmod, typtype)`, the type itself or, of a domain, the
 * one it is made over. A domain counts as that: comparisons and indexes do, and its checks are none of a lookup's.
 */
export const baseType = `CROSS JOIN LATERAL (
    WITH RECURSIVE under(depth, oid, typmod, typtype, next, next_mod) AS (
      SELECT 0, y.oid, a.atttypmod, y.typtype, y.typbasetype, y.typtypmod
      UNION ALL
      SELECT u.depth + 1, b.oid, u.next_mod, b.typtype, b.typbasetype, b.typtypmod
        FROM under u JOIN pg_catalog.pg_type b ON b.oid = u.next AND u.typtype = 'd'
    ) SELECT oid, typmod, typtype FROM under ORDER BY depth DESC LIMIT 1) AS base`
