import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { DeletionPlan, PlanStep } from '../../../../../lib/data/deletion/index.ts'
import { openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import { grantsSql, targetRights } from '../../../../../lib/record/grants/index.ts'
import { openTarget, type OpenedDatabase } from '../../../../support/stages/lethe-databases.ts'
import { testRoles } from '../../../../support/servers/roles.ts'
import { startPostgres, type PostgresServer } from '../../../../support/servers/servers.ts'

let server: PostgresServer
let opened: OpenedDatabase
let worker: Database
const { login, ...roles } = testRoles('worker', 'operator', 'approver', 'auditor', 'login')

const patients = { schema: 'Clinic', table: 'patients' }
const notes = { schema: 'Clinic', table: 'notes "old"' }
const invoices = { schema: 'Clinic', table: 'invoices' }
const step = (kind: PlanStep['kind'], table: PlanStep['table']): PlanStep => ({
  id: `${kind}-${table.table}`,
  kind,
  table,
  why: 'test',
  collected: [],
  sql: '',
})
const plan: DeletionPlan = {
  store: 'clinic',
  subject: 'patient',
  root: patients,
  key: [{ name: 'id', type: 'bigint', oneText: true }],
  tenant: null,
  alias: null,
  aliasSql: null,
  timeZone: 'UTC',
  walks: [],
  holds: [],
  owners: [],
  tables: [
    {
      table: notes,
      action: 'delete',
      ground: null,
      why: 'test',
      belongs: 't.patient_id = root.id',
      estimate: 0,
      stays: null,
      released: null,
      until: null,
      pseudonymised: false,
    },
    {
      table: invoices,
      action: 'retain',
      ground: 'a law',
      why: 'test',
      belongs: 't.patient_id = root.id',
      estimate: 0,
      stays: null,
      released: null,
      until: null,
      pseudonymised: false,
    },
  ],
  steps: [step('delete', notes), step('root-delete', patients)],
  minimums: [],
  keptCondition: null,
  keptUntil: null,
  materialisedViews: [{ view: { schema: 'Clinic', table: 'patient_counts' }, unique: true }],
  notCovered: [],
  mapVersion: 'm',
  hash: 'h',
}

beforeAll(async () => {
  server = await startPostgres()
  opened = await openTarget(server)
  for (const text of [
    'CREATE SCHEMA "Clinic"',
    'CREATE TABLE "Clinic".patients (id bigint PRIMARY KEY)',
    'CREATE TABLE "Clinic"."notes ""old""" (id bigint PRIMARY KEY, patient_id bigint REFERENCES "Clinic".patients)',
    'CREATE TABLE "Clinic".invoices (id bigint PRIMARY KEY, patient_id bigint REFERENCES "Clinic".patients)',
    'CREATE TABLE "Clinic".salaries (id bigint PRIMARY KEY)',
    grantsSql('target', { roles, plans: [plan] }),
    `CREATE ROLE ${login} LOGIN IN ROLE ${roles.worker}`,
  ])
    await opened.db.execute(text)
  const url = new URL(opened.url)
  url.username = login
  worker = openDatabase(url.toString(), { name: 'clinic', applicationName: 'lethe test' })
})
afterAll(async () => {
  await worker.close()
  await opened.close()
  await server.stop()
})

describe('the worker’s role on a target', () => {
  test('locks and deletes what the plan deletes; foreign keys need no right of its own', async () => {
    await opened.db.execute('INSERT INTO "Clinic".patients VALUES (1)')
    await opened.db.execute('INSERT INTO "Clinic"."notes ""old""" VALUES (1, 1)')
    await worker.transaction(async (tx) => {
      await tx.execute('SELECT FROM "Clinic".patients WHERE id = 1 FOR UPDATE')
      expect(await tx.execute('DELETE FROM "Clinic"."notes ""old""" WHERE patient_id = 1')).toBe(1)
      expect(await tx.execute('DELETE FROM "Clinic".patients WHERE id = 1')).toBe(1)
    })
  })

  test('reads what the plan keeps, and changes nothing of it', async () => {
    expect(await worker.execute('SELECT FROM "Clinic".invoices')).toBe(0)
    await expect(worker.execute('DELETE FROM "Clinic".invoices')).rejects.toMatchObject({
      code: 'E_DATABASE_PRIVILEGE',
    })
    await expect(worker.execute('UPDATE "Clinic".invoices SET id = id')).rejects.toMatchObject({
      code: 'E_DATABASE_PRIVILEGE',
    })
  })

  test('does not see a table outside the plan, add a row or empty a table', async () => {
    for (const text of [
      'SELECT FROM "Clinic".salaries',
      'INSERT INTO "Clinic".patients VALUES (2)',
      'TRUNCATE "Clinic".patients',
      'DROP TABLE "Clinic".patients',
    ])
      await expect(worker.execute(text), text).rejects.toMatchObject({ facts: { sqlstate: '42501' } })
  })
})

test('every table of ours in a target has a rule for each role', async () => {
  const tables = await opened.db.query(
    z.object({ name: z.string() }),
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'lethe'::regnamespace AND relkind = 'r'`,
  )
  expect(tables.map((table) => table.name).sort()).toEqual(Object.keys(targetRights).sort())
})

test('a table of tombstones is written to and not changed', () => {
  const tombstones = [{ table: 'public.events', columns: { kind: `'erased'` }, once: 'true' }]
  const text = grantsSql('target', { tombstones })
  expect(text).toContain('GRANT SELECT, INSERT ON "public"."events" TO "lethe_worker"')
})

test('the statements say what needs ownership', () => {
  const text = grantsSql('target', { plans: [plan] })
  expect(text).toContain('GRANT MAINTAIN ON "Clinic"."patient_counts"')
  expect(text).toContain('BYPASSRLS')
})
