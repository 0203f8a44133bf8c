/** Whether the role that asks may do what one of Lethe's three roles must, on Lethe's own tables. */
import { z } from 'zod'
import type { Database } from '../../lib/db/index.ts'
import { examine, type Finding } from './finding.ts'

const roles = ['worker', 'operator', 'auditor'] as const
type Rights = Readonly<Record<string, Readonly<Record<(typeof roles)[number], readonly string[]>>>>

/** The role has all the rights of at least one of the three: a worker's address is looked at with a worker's rights. */
export async function examineRights(database: Database, schema: string, rights: Rights): Promise<Finding[]> {
  const check = examine('own-rights', database.name)
  const held: string[] = []
  let lacking: string[] = []
  for (const role of roles) {
    const missing = await missingRights(database, schema, rights, role)
    if (missing.length === 0) held.push(role)
    else if (role === 'worker') lacking = missing
  }
  if (held.length > 0) return check.ok(`the role has the rights of: ${held.join(', ')}`)
  return check.error(
    `The role lacks rights on schema ${schema}, for a worker: ${lacking.slice(0, 5).join('; ')}${lacking.length > 5 ? ` and ${lacking.length - 5} more` : ''}.`,
    'Print them with `lethe grants --sql`, run them as the owner, and make the login a member of one of the roles.',
  )
}

async function missingRights(
  database: Database,
  schema: string,
  rights: Rights,
  role: (typeof roles)[number],
): Promise<string[]> {
  const wanted = Object.entries(rights).flatMap(([table, byRole]) =>
    byRole[role].flatMap((right) => {
      const [, name = right, columns] = /^(\w+) \((.+)\)$/.exec(right) ?? []
      return (columns?.split(',') ?? [null]).map((column) => ({
        table: `${schema}.${table}`,
        right: name,
        column: column?.trim() ?? null,
      }))
    }),
  )
  const rows = await database.query(
    z.object({ missing: z.string() }),
    `SELECT wanted.right || ' on ' || wanted.table AS missing
     FROM jsonb_to_recordset($1::jsonb) AS wanted("table" text, "right" text, "column" text)
     WHERE NOT has_schema_privilege($2, 'USAGE') OR NOT CASE WHEN wanted.column IS NULL
       THEN has_table_privilege(wanted.table, wanted.right)
       ELSE has_column_privilege(wanted.table, wanted.column, wanted.right) END`,
    [JSON.stringify(wanted), schema],
  )
  return rows.map((row) => row.missing)
}
