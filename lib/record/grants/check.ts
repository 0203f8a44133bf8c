/** Before anything is proposed: may this role carry the plan out to its end? */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import type { DeletionPlan } from '../../data/deletion/index.ts'
import type { SubjectEntry } from '../../data/datamap/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { name, neededRights, operatorNeeds } from './grants.ts'

export interface MissingRight {
  table: string
  rights: string[]
}

/**
 * What the connected role lacks on the tables of the plans and of the access rules, as a worker or as an operator; schemas
 * it may not use count as all of their tables' rights.
 */
export async function missingRights(
  db: Queryable,
  plans: readonly DeletionPlan[],
  access: readonly SubjectEntry['access'][] = [],
  role: 'worker' | 'operator' = 'worker',
): Promise<MissingRight[]> {
  const needs = role === 'worker' ? neededRights(plans, access) : operatorNeeds(plans, access)
  const wanted = [...needs.values()].flatMap(({ table, rights, columns }) => [
    ...[...rights].map((right) => ({ schema: table.schema, table: name(table), right, column: null })),
    ...[...columns].map((column) => ({ schema: table.schema, table: name(table), right: 'UPDATE', column })),
  ])
  return db.query(
    z.object({ table: z.string(), rights: z.array(z.string()) }),
    `SELECT w."table", array_agg(w."right" || coalesce(' (' || quote_ident(w."column") || ')', '') ORDER BY w."right", w."column") AS rights
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS w(schema, "table", "right", "column")
     WHERE NOT has_schema_privilege(w.schema, 'USAGE') OR NOT CASE WHEN w."column" IS NULL
       THEN has_table_privilege(w."table", w."right") ELSE has_column_privilege(w."table", w."column", w."right") END
     GROUP BY w."table" ORDER BY w."table"`,
    [
      wanted.map((entry) => entry.schema),
      wanted.map((entry) => entry.table),
      wanted.map((entry) => entry.right),
      wanted.map((entry) => entry.column),
    ],
  )
}

/** Throws E_DATABASE_PRIVILEGE with the whole list and the statements that mend it. */
export async function requireRights(db: Queryable, plan: DeletionPlan): Promise<void> {
  const missing = await missingRights(db, [plan])
  if (missing.length === 0) return
  const lines = missing.map(
    ({ table, rights }) => `  GRANT ${rights.join(', ')} ON ${table} TO <the worker's role>;`,
  )
  throw new LetheError('E_DATABASE_PRIVILEGE', {
    message: `Store ${plan.store}: the connected role can't carry out the plan of ${plan.subject}; it lacks rights on ${missing.map((entry) => entry.table).join(', ')}.`,
    next: `As the owner of the tables:\n${lines.join('\n')}\nor run what \`lethe grants --sql\` prints.`,
    facts: { store: plan.store, missing },
  })
}
