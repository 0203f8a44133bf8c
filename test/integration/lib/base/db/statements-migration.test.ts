/** 006: what people typed moves out of the decisions and reports, of which none may lose what it needs. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { runner } from 'node-pg-migrate'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { newId } from '../../../../../lib/base/clock/index.ts'
import { migrate, openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import { parseStatement, statementFor } from '../../../../../lib/people/identity/index.ts'
import { reasonOf } from '../../../../../lib/record/decisions/index.ts'
import { getReport } from '../../../../../lib/record/proposals/index.ts'
import { freshDatabase } from '../../../../support/servers/shared.ts'
import type { TestDatabase } from '../../../../support/servers/postgres.ts'

let database: TestDatabase
let db: Database

beforeAll(async () => {
  database = await freshDatabase()
  const quiet = () => undefined
  await runner({
    databaseUrl: database.url,
    dir: join(import.meta.dirname, '../../../../../lib/base/db/migrations/control'),
    direction: 'up',
    count: 5,
    migrationsTable: 'pgmigrations',
    migrationsSchema: 'lethe_control',
    createMigrationsSchema: true,
    logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  })
  db = openDatabase(database.url, { name: 'control', applicationName: 'lethe test' })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

const signedAt = new Date('2026-03-01T10:00:00.123Z')
const signed = (verb: 'proposal.approve' | 'appraisal.add' | 'hold.add', reason: string) =>
  statementFor({ verb, object: 'x', facts: { owner: 'ä' }, reason, at: signedAt })
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** Every byte of the tables' files that SQL can't show: dropped columns, dead rows. */
async function files(): Promise<string> {
  await db.execute('CHECKPOINT')
  const rows = await db.query(
    z.object({ bytes: z.instanceof(Buffer) }),
    `SELECT pg_read_binary_file(pg_relation_filepath(oid::regclass)) AS bytes FROM pg_class
     WHERE relnamespace = 'lethe_control'::regnamespace AND relname IN ('approvals', 'appraisals', 'holds', 'reports')`,
  )
  return rows.map(({ bytes }) => bytes.toString('latin1')).join()
}

test('Each reason moves to a statement, and no table that names it by its hash has a copy, not even in its file.', async () => {
  const [run, unsignedRun, rejected] = [newId(), newId(), newId()]
  const proposals = { [run]: newId(), [unsignedRun]: newId(), [rejected]: newId() }
  const appraisal = newId()
  const hold = { signed: newId(), unsigned: newId() }
  const texts = {
    approval: signed('proposal.approve', 'secret-approval'),
    appraisal: signed('appraisal.add', 'secret-appraisal'),
    hold: signed('hold.add', 'secret-hold'),
  }
  for (const [id, proposal] of Object.entries(proposals)) {
    await db.execute(
      `INSERT INTO lethe_control.runs (id, kind, queue, scope, state, max_attempts, created_by) VALUES ($1, 'k', 'q', $2, 'succeeded', 1, 'test')`,
      [id, id],
    )
    await db.execute(
      `INSERT INTO lethe_control.proposals (id, run_id, policy, policy_version, map_version, plan_hash, store, cutoff, population, rows, excluded, state, expires_at)
       VALUES ($1, $2, 'closed', 'v', 'm', 'p', 'app', now(), 1, '{}', '{}', 'executed', now())`,
      [proposal, id],
    )
  }
  const approve = async (id: string, reason: string, more: (string | null)[]) =>
    db.execute(
      `INSERT INTO lethe_control.approvals (id, proposal_id, outcome, reason, actor, method, statement, signature, appraisal_id, at)
       VALUES ($1, $2, 'destroy', $3, 'cto', 'ssh', $4, $5, $6, '2026-03-01T10:00:00.5Z')`,
      [newId(), proposals[id], reason, ...more],
    )
  await approve(run, 'secret-approval', [texts.approval, 'SIG-a', null])
  await approve(unsignedRun, 'secret-unsigned', [null, null, null])
  await approve(rejected, 'secret-appraisal', [texts.appraisal, 'SIG-s', appraisal])
  await db.execute(
    `INSERT INTO lethe_control.appraisals (id, policy, policy_version, records_class, ceiling_subjects, valid_until, reason, actor, method, statement, signature)
     VALUES ($1, 'closed', 'v', 'c', 1, now() + interval '1 month', 'secret-appraisal', 'cto', 'ssh', $2, 'SIG-s')`,
    [appraisal, texts.appraisal],
  )
  for (const [id, reason, statement, signature, released] of [
    [hold.signed, 'secret-hold', texts.hold, 'SIG-h', null],
    [hold.unsigned, 'secret-bare', null, null, 'secret-release'],
  ])
    await db.execute(
      `INSERT INTO lethe_control.holds (id, level, store, kind, owner, reason, review_at, created_by, method, statement, signature, released_reason, released_at)
       VALUES ($1, 'table', 'app', 'complaint', 'team', $2, '2030-01-01', 'desk', 'ssh', $3, $4, $5, CASE WHEN $5::text IS NOT NULL THEN now() END)`,
      [id, reason, statement, signature, released],
    )
  await db.execute(`INSERT INTO lethe_control.policies (name, mode) VALUES ('closed', 'armed')`)
  for (const [id, reason] of [
    [run, 'secret-approval'],
    [unsignedRun, 'secret-unsigned'],
  ] as const)
    await db.execute(`INSERT INTO lethe_control.reports (run_id, report) VALUES ($1, $2)`, [
      id,
      JSON.stringify(report(id, proposals[id] ?? '', reason)),
    ])
  await db.execute(`INSERT INTO lethe_control.reports (run_id, report) VALUES ($1, $2)`, [
    rejected,
    JSON.stringify({ ...report(rejected, '', ''), approval: null }),
  ])
  expect(await files()).toContain('secret-approval')

  expect((await migrate(database.url, 'control')).applied).toContain('006_statements')

  const kept = await db.query(
    z.object({
      of: z.string(),
      hash: z.string(),
      statement: z.string(),
      signature: z.string().nullable(),
      at: z.date(),
    }),
    `SELECT n.of, encode(s.hash, 'hex') AS hash, s.statement, s.signature, s.at FROM (
       SELECT proposal_id::text AS of, statement_hash AS hash FROM lethe_control.approvals
       UNION ALL SELECT id::text, statement_hash FROM lethe_control.appraisals
       UNION ALL SELECT id::text, statement_hash FROM lethe_control.holds
       UNION ALL SELECT 'release of ' || id, release_hash FROM lethe_control.holds
     ) AS n JOIN lethe_control.statements s USING (hash)`,
  )
  const by = Object.fromEntries(kept.map((row) => [row.of, row]))
  // the exact bytes and their signature, under the hash that anyone can make of them
  expect(by[proposals[run] ?? '']).toMatchObject({
    hash: sha256(texts.approval),
    statement: texts.approval,
    signature: 'SIG-a',
    at: new Date('2026-03-01T10:00:00.5Z'),
  })
  expect(by[hold.signed]).toMatchObject({ hash: sha256(texts.hold), signature: 'SIG-h' })
  expect(by[appraisal]).toMatchObject({ hash: sha256(texts.appraisal), signature: 'SIG-s' })
  expect(by[proposals[rejected] ?? '']?.hash).toBe(by[appraisal]?.hash)
  // a reason that nobody signed is a statement without a signature, salted too
  const bare = by[proposals[unsignedRun] ?? '']
  expect(bare).toMatchObject({ hash: sha256(bare?.statement ?? ''), signature: null })
  expect(parseStatement(bare?.statement ?? '')).toMatchObject({
    verb: 'proposal.approve',
    object: proposals[unsignedRun],
    reason: 'secret-unsigned',
    nonce: expect.stringMatching(/^[0-9a-f]{24}$/),
  })
  expect(reasonOf(by[hold.unsigned]?.statement ?? '')).toBe('secret-bare')
  expect(parseStatement(by[`release of ${hold.unsigned}`]?.statement ?? '')).toMatchObject({
    verb: 'hold.release',
    object: hold.unsigned,
    reason: 'secret-release',
  })
  expect(kept).toHaveLength(7)
  expect(new Set(kept.map(({ statement }) => parseStatement(statement).nonce)).size).toBe(6)

  expect(await getReport(db, run)).toMatchObject({
    approval: { reason: 'secret-approval', statement: sha256(texts.approval) },
  })
  expect(await getReport(db, unsignedRun)).toMatchObject({ approval: { reason: 'secret-unsigned' } })
  expect(await getReport(db, rejected)).toMatchObject({ approval: null })
  expect(await files()).not.toContain('secret')
})

/** As a report was stored before. */
function report(run: string, proposal: string, reason: string) {
  return {
    format: 'lethe-retention-report-1',
    ...Object.fromEntries(
      ['policy', 'policyVersion', 'recordsClass', 'store', 'outcome', 'mapVersion', 'planHash'].map(
        (name) => [name, 'x'],
      ),
    ),
    ...Object.fromEntries(['cutoff', 'period', 'startedAt', 'finishedAt'].map((name) => [name, 'x'])),
    run,
    proposal,
    clamped: null,
    oldest: null,
    newest: null,
    population: 1,
    proposedRows: {},
    excluded: {},
    limits: [],
    approval: { outcome: 'destroy', actor: 'cto', method: 'ssh', reason, at: 'x', overrides: [] },
    subjects: { erased: 1, kept: 0, skipped: {}, locked: 0, blocked: {} },
    rows: { removed: {}, pseudonymised: {}, detached: {} },
    batches: 1,
    throttledSeconds: {},
    verification: null,
    tidied: null,
    ledgerEntries: 1,
    notCovered: [],
  }
}
