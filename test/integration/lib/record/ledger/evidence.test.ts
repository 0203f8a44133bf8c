import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { newId } from '../../../../../lib/base/clock/index.ts'
import { openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import { controlRights, grantsSql } from '../../../../../lib/record/grants/index.ts'
import { appendEvent } from '../../../../../lib/record/evidence/index.ts'
import {
  acquireLease,
  claimRun,
  copyBatches,
  createRun,
  lastBatchCopied,
  releaseLease,
  type Run,
} from '../../../../../lib/record/ledger/index.ts'
import { runStory } from '../../../../../jobs/run-story.ts'
import { countLiveErasures, liveErasures, openScope } from '../../../../../lib/record/erasures/index.ts'
import { openControl, type OpenedDatabase } from '../../../../support/stages/lethe-databases.ts'
import { startPostgres, type PostgresServer } from '../../../../support/servers/servers.ts'
import { markVerified, writeEntries } from '../../../../../lib/record/erasures/index.ts'
import { testRoles } from '../../../../support/servers/roles.ts'

let server: PostgresServer
let opened: OpenedDatabase
let control: Database
const { login, ...roles } = testRoles('worker', 'operator', 'approver', 'auditor', 'login')

beforeAll(async () => {
  server = await startPostgres()
  opened = await openControl(server)
  control = opened.db
})
afterAll(async () => {
  await opened.close()
  await server.stop()
})

async function claimed(): Promise<Run> {
  const run = await createRun(control, {
    kind: 'test.work',
    queue: 'test',
    scope: newId(),
    payload: {},
    maxAttempts: 3,
    createdBy: 'tester',
  })
  if ('existing' in run) throw new Error('the scope is taken')
  const held = await claimRun(control, { runId: run.id, generation: 0, holder: 'w1', leaseSeconds: 60 })
  if (held === null) throw new Error('not claimed')
  return held
}

async function scopeOf(run: Run): Promise<string> {
  return openScope(control, {
    runId: run.id,
    store: 'clinic',
    subjectKind: 'patient',
    mapVersion: 'm1',
    planHash: 'p1',
  })
}

const hash = (text: string) => createHash('sha256').update(text).digest()
const entry = (text: string) => ({ hash: hash(text), keyId: 'k1', version: 2 as const })
const stale = (run: Run): Run => ({ ...run, fence: run.fence - 1n })

type Hashes = readonly { hash: Buffer; keyId: string; version: 1 | 2 }[]
const writeErasures = async (db: Database, run: Run, scopeId: string, hashes: Hashes) =>
  (await writeEntries(db, run, 'erase', [{ scopeId, hashes }], { object: false })).entries
const voidErasures = async (db: Database, run: Run, scopeId: string, given: readonly Buffer[]) => {
  const hashes = given.map((one) => ({ hash: one, keyId: '', version: 2 as const }))
  return (await writeEntries(db, run, 'void', [{ scopeId, hashes }], { object: false })).entries
}

describe('events', () => {
  test.each([
    `UPDATE lethe_control.events SET type = 'x'`,
    `DELETE FROM lethe_control.events`,
    `TRUNCATE lethe_control.events`,
    `UPDATE lethe_control.erasures SET key_id = 'x'`,
    `DELETE FROM lethe_control.erasures`,
    `TRUNCATE lethe_control.erasures`,
  ])('even the owner is refused: %s', async (text) => {
    const run = await claimed()
    await writeErasures(control, run, await scopeOf(run), [entry('a')])
    await expect(control.execute(text)).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
  })

  test('the worker’s role adds and reads them and has no right to change them', async () => {
    await control.execute(grantsSql('control', { roles }))
    await control.execute(grantsSql('control', { roles }))
    await control.execute(`CREATE ROLE ${login} LOGIN IN ROLE ${roles.worker}`)
    const url = new URL(opened.url)
    url.username = login
    const worker = openDatabase(url.toString(), { name: 'control', applicationName: 'lethe test' })
    try {
      const run = await createRun(worker, {
        kind: 'test.work',
        queue: 'test',
        scope: newId(),
        payload: {},
        maxAttempts: 1,
        createdBy: 'tester',
      })
      if ('existing' in run) throw new Error('the scope is taken')
      const held = await claimRun(worker, { runId: run.id, generation: 0, holder: 'w1', leaseSeconds: 60 })
      if (held === null) throw new Error('not claimed')
      await appendEvent(worker, { type: 'report.written', data: {}, runId: run.id })
      const scope = await openScope(worker, {
        runId: run.id,
        store: 'clinic',
        subjectKind: 'patient',
        mapVersion: 'm1',
        planHash: 'p1',
      })
      expect(await writeErasures(worker, held, scope, [entry('a')])).toBe(1)
      await copyBatches(worker, held, 'clinic', [])
      await markVerified(worker, scope)
      expect((await runStory(worker, run.id)).events).toHaveLength(3)
      for (const text of [
        `UPDATE lethe_control.events SET type = 'x'`,
        `DELETE FROM lethe_control.events`,
        `TRUNCATE lethe_control.events`,
        `UPDATE lethe_control.erasures SET key_id = 'x'`,
        `DELETE FROM lethe_control.erasures`,
        `UPDATE lethe_control.policies SET mode = 'armed'`,
        `INSERT INTO lethe_control.policies (name, mode) VALUES ('x', 'armed')`,
        `UPDATE lethe_control.holds SET released_at = now()`,
        `ALTER TABLE lethe_control.events DISABLE TRIGGER append_only`,
      ])
        await expect(worker.execute(text), text).rejects.toMatchObject({ facts: { sqlstate: '42501' } })
    } finally {
      await worker.close()
    }
  })

  test('every table of ours has a rule for each role', async () => {
    const tables = await control.query(
      z.object({ name: z.string() }),
      `SELECT relname AS name FROM pg_class WHERE relnamespace = 'lethe_control'::regnamespace AND relkind = 'r'`,
    )
    expect(tables.map((table) => table.name).sort()).toEqual(Object.keys(controlRights).sort())
  })
})

describe('the copies of batches', () => {
  const batch = (number: bigint, rows: number) => ({
    number,
    fence: 1n,
    at: new Date('2026-01-01T00:00:00Z'),
    event: { counters: { 'public.patients': rows, skipped: 1 }, lockMs: 12 },
  })

  test('are made once by run and number, and summed', async () => {
    const run = await claimed()
    expect(await lastBatchCopied(control, run.id)).toBe(0n)
    await copyBatches(control, run, 'clinic', [batch(1n, 10), batch(2n, 20)])
    const totals = await copyBatches(control, run, 'clinic', [batch(2n, 20), batch(3n, 5)])
    expect(totals).toEqual({ 'public.patients': 35, skipped: 3 })
    expect(await lastBatchCopied(control, run.id)).toBe(3n)
    expect((await runStory(control, run.id)).batches.map((copy) => copy.number)).toEqual([1n, 2n, 3n])
  })

  test('are refused from a worker with an old fence', async () => {
    const run = await claimed()
    await expect(copyBatches(control, stale(run), 'clinic', [batch(1n, 10)])).rejects.toMatchObject({
      code: 'E_FENCED',
    })
    expect(await lastBatchCopied(control, run.id)).toBe(0n)
  })
})

describe('the erasure ledger', () => {
  test('opens one scope a run and store, and refuses to go on under another plan', async () => {
    const run = await claimed()
    const scope = await scopeOf(run)
    expect(await scopeOf(run)).toBe(scope)
    await expect(
      openScope(control, {
        runId: run.id,
        store: 'clinic',
        subjectKind: 'patient',
        mapVersion: 'm1',
        planHash: 'p2',
      }),
    ).rejects.toMatchObject({ code: 'E_SCOPE_CHANGED' })
  })

  test('writes an entry once, voids it once, and may write it again', async () => {
    const run = await claimed()
    const scope = await scopeOf(run)
    expect(await writeErasures(control, run, scope, [entry('a'), entry('b'), entry('a')])).toBe(2)
    expect(await writeErasures(control, run, scope, [entry('a'), entry('c')])).toBe(1)
    expect(await voidErasures(control, run, scope, [hash('a'), hash('unknown')])).toBe(1)
    expect(await voidErasures(control, run, scope, [hash('a')])).toBe(0)
    expect(await countLiveErasures(control, scope)).toBe(2)
    expect(await writeErasures(control, run, scope, [entry('a')])).toBe(1)
    const live = await liveErasures(control, scope)
    expect(live.map((item) => item.hash.toString('hex'))).toEqual(
      [hash('a'), hash('b'), hash('c')].map((item) => item.toString('hex')).sort(),
    )
    const [first] = await liveErasures(control, scope, { limit: 1 })
    if (first === undefined) throw new Error('no entry')
    expect(await liveErasures(control, scope, { after: first.hash })).toHaveLength(2)
  })

  test('is closed to a worker with an old fence', async () => {
    const run = await claimed()
    const scope = await scopeOf(run)
    await expect(writeErasures(control, stale(run), scope, [entry('a')])).rejects.toMatchObject({
      code: 'E_FENCED',
    })
    await writeErasures(control, run, scope, [entry('a')])
    await expect(voidErasures(control, stale(run), scope, [hash('a')])).rejects.toMatchObject({
      code: 'E_FENCED',
    })
    expect(await countLiveErasures(control, scope)).toBe(1)
  })

  test('keeps the first instant of verification', async () => {
    const run = await claimed()
    const scope = await scopeOf(run)
    await markVerified(control, scope)
    const first = (await runStory(control, run.id)).scopes[0]?.verifiedAt
    await markVerified(control, scope)
    expect((await runStory(control, run.id)).scopes[0]?.verifiedAt).toEqual(first)
    expect(first).toBeInstanceOf(Date)
  })
})

describe('a named lease', () => {
  test('has one holder at a time, and a fence that rises with each new one', async () => {
    const name = newId()
    const all = await Promise.all(['a', 'b', 'c'].map((holder) => acquireLease(control, name, holder, 60)))
    expect(all.filter((lease) => lease !== null)).toHaveLength(1)
    const holder = ['a', 'b', 'c'][all.findIndex((lease) => lease !== null)] ?? ''
    expect(await acquireLease(control, name, holder, 60)).toEqual({ fence: 1n })
    await releaseLease(control, name, 'someone else')
    expect(await acquireLease(control, name, 'd', 60)).toBeNull()
    await releaseLease(control, name, holder)
    expect(await acquireLease(control, name, 'd', 60)).toEqual({ fence: 2n })
  })
})
