/** Which of Lethe's three roles a login plays, and whether it may do what that one must on Lethe's own tables. */
import { z } from 'zod'
import type { Database } from '../../lib/base/db/index.ts'
import { roles, type RoleName, type TableRights } from '../../lib/record/grants/index.ts'
import { examine, type Finding } from './finding.ts'

type Rights = Readonly<Record<string, TableRights>>

/**
 * A login is judged by the first role it is a member of; where the groups have other names, by the rights it has. One that is
 * neither is looked at as a worker's: that is what somebody is about to make of it.
 */
export async function examineRights(
  database: Database,
  schema: string,
  rights: Rights,
): Promise<{ role: RoleName; findings: Finding[] }> {
  const check = examine('own-rights', database.name)
  const memberOf = await memberships(database)
  const approves = await isApprover(database)
  const missing = new Map<RoleName, string[]>()
  for (const role of roles)
    missing.set(
      role,
      await missingRights(database, schema, rights, ({ approver = [], ...byRole }) => [
        ...byRole[role],
        ...(role === 'operator' && approves ? approver : []),
      ]),
    )
  const held = roles.filter((role) => missing.get(role)?.length === 0)
  const role = roleOf(memberOf, held)
  const lacking = missing.get(role) ?? []
  if (lacking.length > 0 && (memberOf.length > 0 || held.length === 0))
    return {
      role,
      findings: check.error(
        `The role lacks rights on schema ${schema}, for ${a(role)}: ${lacking.slice(0, 5).join('; ')}${lacking.length > 5 ? ` and ${lacking.length - 5} more` : ''}.`,
        'Print them with `lethe grants --sql`, run them as the owner, and make the login a member of one of the roles.',
      ),
    }
  const too = approves && held.includes('operator') ? ' (and approves)' : ''
  return { role, findings: check.ok(`the role has the rights of: ${held.join(', ')}${too}`) }
}

/** Who has an auditor's rights by chance may be a worker half-way through its grants; an operator's are a worker's no more. */
function roleOf(memberOf: readonly RoleName[], held: readonly RoleName[]): RoleName {
  if (memberOf.includes('worker') || held.includes('worker')) return 'worker'
  if (memberOf.includes('operator') || held.includes('operator')) return 'operator'
  return memberOf.includes('auditor') ? 'auditor' : 'worker'
}

export function a(role: RoleName): string {
  return role === 'worker' ? 'a worker' : `an ${role}`
}

/** By the names that `lethe grants` gives them; a superuser is a member of each. */
async function memberships(database: Database): Promise<RoleName[]> {
  const rows = await database.query(
    z.object({ role: z.enum(roles) }),
    `SELECT r.role FROM unnest($1::text[]) AS r(role) JOIN pg_roles ON rolname = 'lethe_' || r.role
     WHERE pg_has_role(pg_roles.oid, 'MEMBER')`,
    [roles],
  )
  return rows.map(({ role }) => role)
}

/** A member of the approvers' role is an operator too. */
async function isApprover(database: Database): Promise<boolean> {
  const rows = await database.query(
    z.object({ name: z.string() }),
    `SELECT rolname AS name FROM pg_roles WHERE rolname = 'lethe_approver' AND pg_has_role(oid, 'MEMBER')`,
  )
  return rows.length > 0
}

async function missingRights(
  database: Database,
  schema: string,
  rights: Rights,
  of: (rights: TableRights) => readonly string[],
): Promise<string[]> {
  const wanted = Object.entries(rights).flatMap(([table, byRole]) =>
    of(byRole).flatMap((right) => {
      const [, name = right, columns] = /^(\w+) \((.+)\)$/s.exec(right) ?? []
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
