import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { sqlLiteral } from '../../../../../lib/data/datamap/index.ts'
import { migrate, openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import {
  appendEvent,
  logKeys,
  parseVerifierKey,
  proveEvent,
  publishedKeys,
  sequence,
  signHead,
  verifierKeys,
  verifyLog,
  verifyProof,
  type LogKeys,
  type NewHead,
  type Trust,
} from '../../../../../lib/record/evidence/index.ts'
import { lostStatements } from '../../../../../lib/record/decisions/index.ts'
import { contentSql, instant } from '../../../../../lib/record/evidence/entry.ts'
import { signCheckpoint } from '../../../../../lib/record/evidence/checkpoint.ts'
import { rootOf } from '../../../../../lib/record/evidence/merkle.ts'
import { storedNodes } from '../../../../../lib/record/evidence/store.ts'
import { grantsSql } from '../../../../../lib/record/grants/index.ts'
import { openKeystore } from '../../../../../lib/base/keystore/index.ts'
import { findProgram } from '../../../../support/servers/install.ts'
import { freshDatabase } from '../../../../support/servers/shared.ts'
import { testRoles } from '../../../../support/servers/roles.ts'

const origin = 'example.org/lethe'
const keep = '6 years'
let control: Database
let fresh: { url: string; drop(): Promise<void> }
let folder: string
let keys: LogKeys
let trust: Trust
const roles = testRoles('worker', 'operator', 'approver', 'auditor')

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lethe-prove-'))
})
beforeEach(async () => {
  fresh = await freshDatabase()
  await migrate(fresh.url, 'control')
  control = openDatabase(fresh.url, { name: 'control', applicationName: 'lethe test' })
  const keystore = await openKeystore(join(folder, `${performance.now()}.json`), { create: true })
  keys = logKeys(origin, keystore, null)
  trust = { origin, keys: verifierKeys(keys) }
  return async () => {
    await control.close()
    await fresh.drop()
  }
})
afterAll(() => rm(folder, { recursive: true }))

async function grow(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await appendEvent(control, { type: 'run.woken', data: {} })
  await sequence(control)
  await signHead(control, keys, 0)
}

const kinds = async (published: string | null = null) =>
  [
    ...new Set(
      (
        await verifyLog(control, trust, {
          others: published === null ? [] : [published],
          keep,
          lostStatements,
        })
      ).breaks.map((one) => one.kind),
    ),
  ].toSorted()

/** As somebody who owns the tables would. */
async function tamper(...statements: string[]): Promise<void> {
  await control.transaction(async (tx) => {
    await tx.execute(`SET LOCAL session_replication_role = replica`)
    for (const statement of statements) await tx.execute(statement)
  })
}

describe('a proof', () => {
  test('of each event holds by the published keys alone, also after the key was rotated', async () => {
    await grow(7)
    const proof = await proveEvent(control, '3')
    const published = publishedKeys(keys).map(parseVerifierKey)
    expect(verifyProof(proof, origin, published)).toMatchObject({
      index: 2,
      content: { id: '3', type: 'run.woken' },
      checkpoint: { size: 7 },
    })
    await grow(300)
    for (const event of ['1', '7', '8', '256', '257', '307'])
      expect(verifyProof(await proveEvent(control, event), origin, published).content.id).toBe(event)
  })

  test('does not hold for other keys, another log, another place or other words', async () => {
    await grow(5)
    const proof = await proveEvent(control, '2')
    const other = logKeys(origin, await openKeystore(join(folder, 'other.json'), { create: true }), null)
    const refused = (text: string, name = origin, by = trust.keys) => {
      try {
        verifyProof(text, name, by)
        return 'held'
      } catch (error) {
        return error instanceof Error && 'code' in error ? error.code : error
      }
    }
    expect(refused(proof, origin, verifierKeys(other))).toBe('E_EVIDENCE_SIGNATURE')
    expect(refused(proof, 'example.org/other')).toBe('E_EVIDENCE_ORIGIN')
    expect(refused(proof.replace('index 1', 'index 2'))).toBe('E_EVIDENCE_BROKEN')
    const [, extra = ''] = /^extra (.*)$/m.exec(proof) ?? []
    const bent = Buffer.from(Buffer.from(extra, 'base64').toString().replace('run.woken', 'run.waken'))
    expect(refused(proof.replace(extra, bent.toString('base64')))).toBe('E_EVIDENCE_BROKEN')
    expect(refused(proof.replace('\n5\n', '\n6\n'))).toBe('E_EVIDENCE_SIGNATURE')
    for (const length of [10, 100, 300, proof.length - 30])
      expect(refused(proof.slice(0, length))).not.toBe('held')
  })

  test('is for what a signed head covers: other events are pending, or not there', async () => {
    await grow(2)
    await appendEvent(control, { type: 'run.woken', data: {} })
    await expect(proveEvent(control, '3')).rejects.toMatchObject({ code: 'E_EVIDENCE_PENDING' })
    await expect(proveEvent(control, '99')).rejects.toMatchObject({ code: 'E_NOT_FOUND' })
    await expect(proveEvent(control, 'x')).rejects.toMatchObject({ code: 'E_NOT_FOUND' })
  })
})

test('No proof is written that would not hold: the event, its entry or the tree was changed.', async () => {
  await grow(5)
  await tamper(
    `UPDATE lethe_control.events SET type = 'run.resumed' WHERE id = 2`,
    `UPDATE lethe_control.evidence_entries SET entry = sha256('x') WHERE event_id = 3`,
  )
  for (const event of ['2', '3'])
    await expect(proveEvent(control, event)).rejects.toMatchObject({ code: 'E_EVIDENCE_BROKEN' })
  await tamper(
    `UPDATE lethe_control.evidence_tiles SET hashes = set_byte(hashes, 40, 1 # get_byte(hashes, 40))`,
  )
  await expect(proveEvent(control, '5')).rejects.toMatchObject({ code: 'E_EVIDENCE_BROKEN' })
})

describe('the living log', () => {
  test('holds as long as nobody touches it', async () => {
    await grow(10)
    await grow(300)
    expect(await verifyLog(control, trust, { keep })).toEqual({
      from: 0,
      entries: 310,
      aged: 0,
      heads: 2,
      breaks: [],
    })
  })

  test.each([
    [
      'an event was edited',
      [`UPDATE lethe_control.events SET type = 'run.resumed' WHERE id = 4`],
      ['edited'],
    ],
    ['an event was deleted', [`DELETE FROM lethe_control.events WHERE id = 4`], ['missing']],
    [
      'an event was let go before its time',
      [
        `DELETE FROM lethe_control.events WHERE id = 4`,
        `UPDATE lethe_control.evidence_entries SET salt = NULL WHERE event_id = 4`,
      ],
      ['missing'],
    ],
    [
      'an event and its commitment were made anew',
      [
        `UPDATE lethe_control.events SET type = 'run.resumed' WHERE id = 4`,
        `UPDATE lethe_control.evidence_entries x SET entry = sha256(salt || convert_to(${contentSql('e', instant('x.sequenced_at'))}, 'UTF8'))
         FROM lethe_control.events e WHERE x.event_id = 4 AND e.id = 4`,
      ],
      ['rewritten', 'tiles'],
    ],
    [
      'two entries changed places',
      [
        `UPDATE lethe_control.evidence_entries SET index = -1 WHERE index = 3`,
        `UPDATE lethe_control.evidence_entries SET index = 3 WHERE index = 4`,
        `UPDATE lethe_control.evidence_entries SET index = 4 WHERE index = -1`,
      ],
      ['rewritten', 'tiles'],
    ],
    [
      'the end was cut off',
      [
        `DELETE FROM lethe_control.evidence_entries WHERE index >= 8`,
        `DELETE FROM lethe_control.events WHERE id > 8`,
        `UPDATE lethe_control.evidence_log SET size = 8`,
      ],
      ['missing'],
    ],
    [
      'an entry says that it got its index an hour before the one it follows',
      [
        `UPDATE lethe_control.evidence_entries SET sequenced_at = sequenced_at - interval '1 hour' WHERE index = 4`,
      ],
      ['clock', 'edited'],
    ],
    [
      'a tile was changed',
      [`UPDATE lethe_control.evidence_tiles SET hashes = set_byte(hashes, 40, 1 # get_byte(hashes, 40))`],
      ['tiles'],
    ],
  ])('is seen to be broken: %s', async (_what, statements, expected) => {
    await grow(5)
    await grow(7)
    await tamper(...statements)
    expect(await kinds()).toEqual(expected)
  })

  test('is seen to be broken: its heads were deleted, and a day has passed', async () => {
    await grow(5)
    await tamper('DELETE FROM lethe_control.evidence_checkpoints')
    expect(await kinds()).toEqual(['unsigned'])
    // One of many is left.
    await grow(1)
    await grow(5)
    await tamper('DELETE FROM lethe_control.evidence_checkpoints WHERE size > 6')
    expect(await kinds()).toEqual([])
    await tamper(
      `UPDATE lethe_control.evidence_entries SET sequenced_at = sequenced_at - interval '25 hours'`,
    )
    expect(await kinds()).toEqual(['edited', 'unsigned'])
  })

  test('is seen to be broken: an event was put into the record past the log', async () => {
    await grow(5)
    await tamper(`INSERT INTO lethe_control.events (type, data, xact) VALUES ('run.woken', '{}', '5'::xid8)`)
    await sequence(control)
    expect(await kinds()).toEqual(['forged'])
  })

  test('is seen to be broken: a signed statement is gone that nobody erased', async () => {
    const statement = createHash('sha256').update('{"reason":"x"}').digest('hex')
    await control.execute(
      `INSERT INTO lethe_control.statements (hash, statement) VALUES (decode($1, 'hex'), '{"reason":"x"}')`,
      [statement],
    )
    await appendEvent(control, {
      type: 'policy.disarmed',
      actor: 'somebody',
      data: { policy: 'closed', method: 'ssh', statement },
    })
    await grow(1)
    expect(await kinds()).toEqual([])
    await tamper('UPDATE lethe_control.statements SET statement = NULL, erased_at = now()')
    expect(await kinds()).toEqual(['missing'])
    await appendEvent(control, {
      type: 'text.erased',
      actor: 'somebody',
      data: { text: statement, method: 'ssh', statement },
    })
    expect(await kinds()).toEqual([])
    await tamper('DELETE FROM lethe_control.statements')
    expect(await kinds()).toEqual(['missing'])
  })

  test('is seen to be broken: entries that no head covers yet were cut off', async () => {
    await grow(5)
    for (let n = 0; n < 3; n += 1) await appendEvent(control, { type: 'run.woken', data: {} })
    await sequence(control)
    await tamper('DELETE FROM lethe_control.evidence_entries WHERE index >= 6')
    expect(await kinds()).toEqual(['forged', 'missing'])
  })

  test('is seen to be broken: a head says that it was signed before the one it follows', async () => {
    await grow(5)
    await grow(5)
    const late = new Date('2001-01-01T00:00:00Z')
    const root = await rootOf(10, storedNodes(control, 10))
    await tamper(`UPDATE lethe_control.evidence_checkpoints
      SET note = ${sqlLiteral(signCheckpoint({ origin, size: 10, root }, keys.signer, late))} WHERE size = 10`)
    expect(await kinds()).toEqual(['clock'])
  })

  test('is seen to be broken: it was sealed again with another key', async () => {
    await grow(5)
    const other = logKeys(origin, await openKeystore(join(folder, 'thief.json'), { create: true }), null)
    await tamper('DELETE FROM lethe_control.evidence_checkpoints')
    await signHead(control, other, 0)
    expect(await kinds()).toEqual(['signature', 'unsigned'])
  })

  test("is seen to be yesterday's by the head that was published since", async () => {
    await grow(5)
    await grow(5)
    const [row] = await control.query(
      z.object({ note: z.string() }),
      'SELECT note FROM lethe_control.evidence_checkpoints WHERE size = 10',
    )
    await tamper(
      'DELETE FROM lethe_control.evidence_checkpoints WHERE size = 10',
      'DELETE FROM lethe_control.evidence_entries WHERE index >= 5',
      'DELETE FROM lethe_control.events WHERE id > 5',
      `DELETE FROM lethe_control.evidence_tiles`,
      'UPDATE lethe_control.evidence_log SET size = 5',
    )
    expect(await kinds(row?.note ?? null)).toEqual(['missing', 'tiles'])
  })

  test('signs no head that does not continue one that is kept elsewhere', async () => {
    await grow(5)
    await grow(5)
    const [row] = await control.query(
      z.object({ note: z.string() }),
      'SELECT note FROM lethe_control.evidence_checkpoints WHERE size = 10',
    )
    const elsewhere = async (head: NewHead) => head.continues(row?.note ?? '')
    await tamper(
      'DELETE FROM lethe_control.evidence_checkpoints WHERE size = 10',
      'DELETE FROM lethe_control.evidence_entries WHERE index >= 5',
      'DELETE FROM lethe_control.events WHERE id > 5',
      'UPDATE lethe_control.evidence_tiles SET hashes = substr(hashes, 1, 5 * 32) WHERE level = 0',
      'UPDATE lethe_control.evidence_log SET size = 5',
    )
    await appendEvent(control, { type: 'run.woken', data: {} })
    await sequence(control)
    await expect(signHead(control, keys, 0, elsewhere)).rejects.toMatchObject({
      code: 'E_EVIDENCE_BROKEN',
      facts: { kind: 'tail-cut' },
    })
  })

  test('signs no head that does not continue the last one', async () => {
    await grow(5)
    await tamper(
      `UPDATE lethe_control.evidence_tiles SET hashes = set_byte(hashes, 3, 255 # get_byte(hashes, 3)) WHERE level = 0`,
    )
    await appendEvent(control, { type: 'run.woken', data: {} })
    await sequence(control)
    await expect(signHead(control, keys, 0)).rejects.toMatchObject({
      code: 'E_EVIDENCE_BROKEN',
      facts: { kind: 'rewritten' },
    })
  })
})

test('No head is signed and no content ages out where the worker’s clock and the database’s are an hour apart.', async () => {
  await grow(1)
  await appendEvent(control, { type: 'run.woken', data: {} })
  await sequence(control)
  const library = (path: string) => new URL(`../../../../../lib/${path}/index.ts`, import.meta.url).pathname
  const keystore = join(folder, 'skewed.json')
  const script = `
    import { openDatabase } from '${library('base/db')}'
    import { agingOf, logKeys, signHead } from '${library('record/evidence')}'
    import { openKeystore } from '${library('base/keystore')}'
    const control = openDatabase('${fresh.url}', { name: 'control', applicationName: 'lethe test' })
    const keys = logKeys('${origin}', await openKeystore('${keystore}', { create: true }), null)
    const said = (error) => console.log(error.code, error.facts.seconds > 3500)
    await signHead(control, keys, 0).catch(said)
    await agingOf(control, { origin: '${origin}', keys: [] }, '6 years').catch(said)
    await control.close()`
  const { stdout } = await promisify(execFile)(await findProgram('faketime', 'faketime'), [
    '-f',
    '+1h',
    process.execPath,
    '--input-type=module',
    '-e',
    script,
  ])
  expect(stdout).toBe('E_EVIDENCE_CLOCK true\nE_EVIDENCE_CLOCK true\n')
}, 30_000)

test('The keeper of the log needs the rights of the worker and no more, and can neither change what it wrote nor lock anything.', async () => {
  await control.execute(grantsSql('control', { roles }))
  const worker = openDatabase(`${fresh.url}?options=-c%20role%3D${roles.worker}`, {
    name: 'control',
    applicationName: 'lethe test',
  })
  try {
    await appendEvent(worker, { type: 'run.woken', data: {} })
    expect(await sequence(worker)).toMatchObject({ added: 1 })
    expect(await signHead(worker, keys, 0)).toMatchObject({ size: 1 })
    for (const change of [
      'UPDATE lethe_control.evidence_entries SET salt = NULL',
      `UPDATE lethe_control.evidence_checkpoints SET note = ''`,
      'DELETE FROM lethe_control.evidence_checkpoints',
      `UPDATE lethe_control.evidence_log SET locked_for = '1 day'`,
    ])
      await expect(worker.execute(change)).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
  } finally {
    await worker.close()
  }
})

test('A verifier that is not ours accepts the signature, the key and the proof: golang.org/x/mod/sumdb.', async () => {
  await grow(300)
  const proof = await proveEvent(control, '77')
  writeFileSync(join(folder, 'proof'), proof)
  writeFileSync(join(folder, 'key'), publishedKeys(keys)[0] ?? '')
  const go = new URL('../../../../support/go', import.meta.url).pathname
  const { stdout } = await promisify(execFile)(
    await findProgram('go', 'golang-go'),
    ['run', '.', join(folder, 'proof'), join(folder, 'key')],
    {
      cwd: go,
      env: { ...process.env, GOFLAGS: '-mod=mod' },
    },
  )
  expect(stdout.trim()).toBe('holds: index 76 of 300')
}, 180_000)
