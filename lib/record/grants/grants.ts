/** What `lethe grants --sql` prints: the least rights for each role, as statements a database administrator can read and run. */
import pg from 'pg'
import { parseTableName, type SubjectEntry, type TableName } from '../../data/datamap/index.ts'
import type { DeletionPlan, PlanStep } from '../../data/deletion/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { RETENTION_ROLE } from '../evidence/index.ts'
import { controlRights, roles, targetRights, type RoleName, type TableRights } from './rights.ts'

export interface GrantOptions {
  /** Names of the four roles; default lethe_worker, lethe_operator, lethe_approver, lethe_auditor. */
  roles?: Partial<Names>
  /** For a target: the plans whose tables the worker erases from. */
  plans?: readonly DeletionPlan[]
  /** For a target: how the access of its subjects is cut and given back. */
  access?: readonly SubjectEntry['access'][]
  /** For a target: the rows that are written once a person's keys are shredded. */
  tombstones?: SubjectEntry['tombstones']
  /** For a target: tables (`schema.table`) whose texts are searched for erased persons' identifiers. */
  searched?: readonly string[]
  /** For a target: the role of an application that asks for erasures; without it the statements stand as a comment. */
  application?: string
}

/** What an application may do: nothing else of schema lethe is anybody's but Lethe's. */
const INTAKE = [
  'lethe.request_erasure(text, text[], text, text, text, boolean, text, text)',
  'lethe.confirm_erasure(uuid, text, text)',
  'lethe.cancel_erasure(uuid, text)',
]

type Names = Readonly<Record<RoleName | 'approver', string>>

/** Idempotent SQL for one database; run it as the owner of the schemas. */
export function grantsSql(which: 'control' | 'target', options: GrantOptions = {}): string {
  const names: Names = {
    worker: options.roles?.worker ?? 'lethe_worker',
    operator: options.roles?.operator ?? 'lethe_operator',
    approver: options.roles?.approver ?? 'lethe_approver',
    auditor: options.roles?.auditor ?? 'lethe_auditor',
  }
  const lines =
    which === 'control'
      ? [
          ...ownTables('lethe_control', controlRights, names),
          ...retention(),
          `GRANT EXECUTE ON FUNCTION lethe_control.approve_by_appraisal(uuid, uuid) TO ${quote(names.worker)};`,
          `GRANT EXECUTE ON FUNCTION lethe_control.disarm_policy(text, text, bytea) TO ${quote(names.operator)};`,
        ]
      : [
          ...ownTables('lethe', targetRights, names),
          ...intake(options.application),
          ...planned(options, names),
        ]
  return `${[...createRoles(names), ...lines].join('\n')}\n`
}

function createRoles(names: Names): string[] {
  return [
    '-- Four group roles without a login. Make a login for each process or person a member: GRANT lethe_worker TO …',
    '-- Support staff are operators. Whoever arms, approves, appraises, releases a hold, erases a text, assesses or refuses is an approver.',
    ...[...roles, 'approver' as const].map((role) => createRole(names[role])),
    `GRANT ${quote(names.operator)} TO ${quote(names.approver)};`,
  ]
}

function ownTables(schema: string, rights: Readonly<Record<string, TableRights>>, names: Names): string[] {
  const lines = ['', `-- Schema ${schema}: Lethe's own record.`]
  for (const role of roles) {
    lines.push(`GRANT USAGE ON SCHEMA ${schema} TO ${quote(names[role])};`)
    for (const [table, byRole] of Object.entries(rights)) {
      const privileges = byRole[role]
      // First nothing, then what is listed: a right that a later version takes away goes away.
      lines.push(`REVOKE ALL ON ${schema}.${table} FROM ${quote(names[role])};`)
      if (privileges.length > 0)
        lines.push(`GRANT ${privileges.join(', ')} ON ${schema}.${table} TO ${quote(names[role])};`)
    }
  }
  lines.push(`GRANT USAGE ON SCHEMA ${schema} TO ${quote(names.approver)};`)
  for (const [table, { approver = [] }] of Object.entries(rights)) {
    lines.push(`REVOKE ALL ON ${schema}.${table} FROM ${quote(names.approver)};`)
    if (approver.length > 0)
      lines.push(`GRANT ${approver.join(', ')} ON ${schema}.${table} TO ${quote(names.approver)};`)
  }
  return lines
}

function retention(): string[] {
  const allowed = Object.entries(controlRights).flatMap(([table, { retention: privileges = [] }]) =>
    privileges.length === 0
      ? []
      : [`GRANT ${privileges.join(', ')} ON lethe_control.${table} TO ${RETENTION_ROLE};`],
  )
  return [
    '',
    '-- Lets the contents of old evidence go (evidence.keep). Grant it to a login of its own, to no other role.',
    createRole(RETENTION_ROLE),
    `GRANT USAGE ON SCHEMA lethe_control TO ${RETENTION_ROLE};`,
    ...allowed,
  ]
}

function createRole(role: string): string {
  return `DO $$ BEGIN CREATE ROLE ${quote(role)} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;`
}

function intake(application: string | undefined): string[] {
  const to = application === undefined ? '<the role of the application>' : quote(application)
  const statements = [
    `GRANT USAGE ON SCHEMA lethe TO ${to};`,
    `GRANT EXECUTE ON FUNCTION ${INTAKE.join(', ')} TO ${to};`,
  ]
  return [
    '',
    '-- An application asks for an erasure inside its own transaction, by these functions and by nothing else. They are',
    '-- nobody’s until granted; not even members of the roles above may call them.',
    ...(application === undefined ? statements.map((line) => `--   ${line}`) : statements),
  ]
}

function planned(
  { plans = [], access = [], tombstones = [], searched = [] }: GrantOptions,
  names: Names,
): string[] {
  const worker = quote(names.worker)
  const operator = quote(names.operator)
  const tables = neededRights(plans, access, tombstones, searched)
  if (tables.size === 0) return []
  const views = plans.flatMap((plan) => plan.materialisedViews.map((entry) => name(entry.view)))
  const schemas = [...new Set([...tables.values()].map((entry) => entry.table.schema))].sort()
  const deleted = [...neededRights(plans).entries()]
    .filter(([, entry]) => entry.rights.has('DELETE'))
    .map(([table]) => table)
  return [
    '',
    "-- The plans' tables. Foreign keys need nothing here: PostgreSQL checks them, and carries out ON DELETE, as the",
    '-- owner of the table concerned. UPDATE stands beside DELETE because SELECT … FOR UPDATE locks each row first.',
    '-- UPDATE of single columns cuts the access of a person; the operator has it to give access back at a cancel.',
    "-- A table that only the map's own SQL reads (identifiers, contact, holds, access: where) is not known here: where",
    '-- `lethe doctor` says that it can not be read, grant SELECT on it to both roles.',
    ...schemas.map(
      (schema) => `GRANT USAGE ON SCHEMA ${pg.escapeIdentifier(schema)} TO ${worker}, ${operator};`,
    ),
    ...[...tables.entries()].map(
      ([table, { rights, columns }]) =>
        `GRANT ${[...rights, ...(columns.size > 0 ? [updateOf(columns)] : [])].join(', ')} ON ${table} TO ${worker};`,
    ),
    ...[...tables.keys()].map((table) => `GRANT SELECT ON ${table} TO ${operator};`),
    ...[...cutColumns(access).values()].map(
      ({ table, columns }) => `GRANT ${updateOf(columns)} ON ${name(table)} TO ${operator};`,
    ),
    '',
    '-- What the throttle watches: replication lag, lock waiters, long transactions of other sessions.',
    `GRANT pg_read_all_stats TO ${worker};`,
    '',
    '-- Row-level security: Lethe sets row_security = off, so a policy that would hide rows raises an error. Where a table',
    `-- above has one, an administrator has to decide: ALTER ROLE <the login of the worker> BYPASSRLS;`,
    '',
    '-- Afterwards Lethe vacuums tables and refreshes materialised views. Both need ownership, or from PostgreSQL 17 on:',
    ...[...deleted, ...new Set(views)].map((object) => `--   GRANT MAINTAIN ON ${object} TO ${worker};`),
    '-- Without it both are reported as not done, and nothing else changes.',
  ]
}

export interface Needed {
  table: TableName
  rights: Set<string>
  /** Columns that access is cut by; empty where the whole row may be changed. */
  columns: ReadonlySet<string>
}

/** Every table the plans, the access rules, the tombstones and the search name, with the rights that their statements need, in a fixed order. */
export function neededRights(
  plans: readonly DeletionPlan[],
  access: readonly SubjectEntry['access'][] = [],
  tombstones: SubjectEntry['tombstones'] = [],
  searched: readonly string[] = [],
): Map<string, Needed> {
  const found = new Map<string, Needed>()
  const need = (table: TableName, rights: readonly string[]) => {
    const entry = found.get(name(table)) ?? { table, rights: new Set<string>(), columns: new Set<string>() }
    for (const right of rights) entry.rights.add(right)
    found.set(name(table), entry)
  }
  for (const plan of plans) {
    need(plan.root, ['SELECT', 'UPDATE'])
    for (const entry of plan.tables) need(entry.table, ['SELECT'])
    for (const minimum of plan.minimums) need(minimum.table, ['SELECT'])
    for (const step of plan.steps) need(step.table, rightsOf(step))
  }
  for (const table of searched) need(tableOf(table), ['SELECT'])
  for (const { table } of tombstones) need(tableOf(table), ['SELECT', 'INSERT'])
  for (const rule of access.flatMap((rules) => rules.delete)) need(tableOf(rule.table), ['SELECT', 'DELETE'])
  for (const [key, { table, columns }] of cutColumns(access)) {
    need(table, ['SELECT'])
    const entry = found.get(key)
    if (entry?.rights.has('UPDATE') === false) found.set(key, { ...entry, columns })
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** What an operator's login takes of the same tables: a preview reads them, and a cancel gives access back. */
export function operatorNeeds(
  plans: readonly DeletionPlan[],
  access: readonly SubjectEntry['access'][] = [],
): Map<string, Needed> {
  const cut = cutColumns(access)
  return new Map(
    [...neededRights(plans, access)].map(([key, { table }]) => [
      key,
      { table, rights: new Set(['SELECT']), columns: cut.get(key)?.columns ?? new Set() },
    ]),
  )
}

/** Columns that the cut changes and a cancel gives back, by table. */
function cutColumns(
  access: readonly SubjectEntry['access'][],
): Map<string, { table: TableName; columns: ReadonlySet<string> }> {
  const found = new Map<string, { table: TableName; columns: Set<string> }>()
  for (const rule of access.flatMap((rules) => rules.set)) {
    const table = tableOf(rule.table)
    const entry = found.get(name(table)) ?? { table, columns: new Set<string>() }
    for (const column of Object.keys(rule.columns)) entry.columns.add(column)
    found.set(name(table), entry)
  }
  return found
}

function updateOf(columns: ReadonlySet<string>): string {
  return `UPDATE (${[...columns].map((column) => pg.escapeIdentifier(column)).join(', ')})`
}

function tableOf(text: string): TableName {
  const table = parseTableName(text)
  if (table !== null) return table
  throw new LetheError('E_CONFIG', { message: `access: "${text}" is not a table name.` })
}

function rightsOf(step: PlanStep): readonly string[] {
  if (step.kind === 'collect') return ['SELECT']
  if (step.kind === 'delete' || step.kind === 'root-delete') return ['SELECT', 'UPDATE', 'DELETE']
  return ['SELECT', 'UPDATE']
}

export function name(table: TableName): string {
  return `${pg.escapeIdentifier(table.schema)}.${pg.escapeIdentifier(table.table)}`
}

function quote(role: string): string {
  return pg.escapeIdentifier(role)
}
