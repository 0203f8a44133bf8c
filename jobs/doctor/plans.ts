/** What each policy needs on its store: a plan that can be made, the rights its statements take, rows that are all visible. */
import { z } from 'zod'
import type { Config, ResolvedPolicy } from '../../lib/config/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import { planDeletion, type DeletionPlan } from '../../lib/data/deletion/index.ts'
import { tableKey, type Catalogue, type TableName } from '../../lib/data/datamap/index.ts'
import type { RoleName } from '../../lib/record/grants/index.ts'
import { attempt, examine, type Finding } from './finding.ts'
import { a } from './rights.ts'

export async function examinePlans(
  config: Config,
  store: string,
  target: Database,
  catalogue: Catalogue,
  role: RoleName,
): Promise<Finding[]> {
  const policies = Object.values(config.policies).filter((policy) => policy.store === store)
  const findings: Finding[] = []
  for (const policy of policies)
    findings.push(
      ...(await attempt('plan', policy.name, async () => {
        const plan = planDeletion(config.file, store, targetOf(policy), catalogue)
        return [
          ...(role === 'auditor' ? [] : await rights(policy.name, target, plan, role)),
          ...(role === 'auditor' ? [] : await rowSecurity(policy.name, target, plan)),
          ...(role === 'worker' ? await maintenance(policy.name, target, plan) : []),
        ]
      })),
    )
  return findings
}

function targetOf({ subject, table }: ResolvedPolicy) {
  return table === undefined ? { subject: subject ?? '' } : { table: table.name, key: table.key }
}

/**
 * UPDATE beside SELECT: SELECT … FOR UPDATE, which locks each root before it goes, needs it. An operator plans and decides:
 * that only reads.
 */
async function rights(
  policy: string,
  target: Database,
  plan: DeletionPlan,
  role: RoleName,
): Promise<Finding[]> {
  const check = examine('plan-rights', policy)
  const carried = [
    ...['SELECT', 'UPDATE'].map((right) => ({ ...plan.root, right })),
    ...plan.tables.map(({ table }) => ({ ...table, right: 'SELECT' })),
    ...plan.minimums.map(({ table }) => ({ ...table, right: 'SELECT' })),
    ...plan.steps.flatMap((step) => rightsOf(step.kind).map((right) => ({ ...step.table, right }))),
  ]
  const wanted = role === 'worker' ? carried : carried.filter(({ right }) => right === 'SELECT')
  const rows = await target.query(
    z.object({ missing: z.string() }),
    `SELECT DISTINCT wanted.right || ' on ' || wanted.schema || '.' || wanted.table AS missing
     FROM jsonb_to_recordset($1::jsonb) AS wanted(schema text, "table" text, "right" text)
     WHERE NOT has_schema_privilege(wanted.schema, 'USAGE')
       OR NOT has_table_privilege(format('%I.%I', wanted.schema, wanted.table), wanted.right) ORDER BY 1`,
    [JSON.stringify(wanted)],
  )
  const missing = rows.map((row) => row.missing)
  return missing.length === 0
    ? check.ok(`the role has every right that the plan takes of ${a(role)}`)
    : check.error(
        `The role lacks, as ${a(role)}: ${missing.join('; ')}.`,
        'Print them with `lethe grants --sql` and run them as the owner of the tables.',
      )
}

function rightsOf(kind: DeletionPlan['steps'][number]['kind']): string[] {
  if (kind === 'collect') return ['SELECT']
  return kind === 'delete' || kind === 'root-delete' ? ['SELECT', 'UPDATE', 'DELETE'] : ['SELECT', 'UPDATE']
}

/** Lethe sets row_security = off, so that a policy raises an error instead of hiding rows: it would be refused at run time. */
async function rowSecurity(policy: string, target: Database, plan: DeletionPlan): Promise<Finding[]> {
  const rows = await target.query(
    z.object({ name: z.string() }),
    `SELECT t.name FROM unnest($1::text[], $2::text[]) AS t(name, regclass)
     WHERE to_regclass(t.regclass) IS NOT NULL AND row_security_active(to_regclass(t.regclass)) ORDER BY 1`,
    namesOf(planTables(plan)),
  )
  const hidden = rows.map((row) => row.name)
  return hidden.length === 0
    ? []
    : examine('row-security', policy).error(
        `Row-level security hides rows of ${hidden.join(', ')} from this role: a purge there would leave some behind, so it is refused.`,
        'An administrator decides: ALTER ROLE <the login of the worker> BYPASSRLS, or let the owner of the tables erase.',
      )
}

const kept = z.object({ name: z.string(), may: z.boolean(), off: z.boolean() })

async function maintenance(policy: string, target: Database, plan: DeletionPlan): Promise<Finding[]> {
  const deleted = plan.steps
    .filter((step) => step.kind === 'delete' || step.kind === 'root-delete')
    .map((step) => step.table)
  const views = plan.materialisedViews.map(({ view }) => view)
  const rows = await target.query(
    kept,
    `SELECT DISTINCT t.name,
       pg_has_role(c.relowner, 'USAGE') OR (current_setting('server_version_num')::int >= 170000
         AND coalesce((SELECT has_table_privilege(c.oid, CASE WHEN current_setting('server_version_num')::int >= 170000
           THEN 'MAINTAIN' ELSE 'SELECT' END)), false)) AS may,
       coalesce('autovacuum_enabled=false' = ANY (c.reloptions) OR 'autovacuum_enabled=off' = ANY (c.reloptions), false) AS off
     FROM unnest($1::text[], $2::text[]) AS t(name, regclass) JOIN pg_class c ON c.oid = to_regclass(t.regclass) ORDER BY 1`,
    namesOf([...deleted, ...views]),
  )
  const refused = rows.filter((row) => !row.may).map((row) => row.name)
  const off = rows.filter((row) => row.off).map((row) => row.name)
  return [
    ...(refused.length > 0
      ? examine('maintenance', policy).warning(
          `The role can't vacuum or refresh ${refused.join(', ')}: a materialised view there goes on showing what was removed.`,
          'Let the owner do it after each run, or on PostgreSQL 17 and newer: GRANT MAINTAIN ON … TO the role.',
        )
      : []),
    ...(off.length > 0
      ? examine('table-autovacuum', policy).warning(
          `Autovacuum is off for ${off.join(', ')}.`,
          'ALTER TABLE … RESET (autovacuum_enabled).',
        )
      : []),
  ]
}

function planTables(plan: DeletionPlan): TableName[] {
  return [plan.root, ...plan.tables.map(({ table }) => table)]
}

/** Two arrays: as people read a name, and quoted as `to_regclass` reads it. */
function namesOf(tables: readonly TableName[]): [string[], string[]] {
  const quote = (name: string) => `"${name.replaceAll('"', '""')}"`
  return [tables.map(tableKey), tables.map(({ schema, table }) => `${quote(schema)}.${quote(table)}`)]
}
