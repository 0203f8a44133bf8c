import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { migrate, openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import { grantsSql } from '../../../../../lib/record/grants/index.ts'
import { statementFor } from '../../../../../lib/people/identity/index.ts'
import {
  statementHash,
  eraseStatement,
  lockStatement,
  reasonOf,
} from '../../../../../lib/record/decisions/index.ts'
import { storeStatement } from '../../../../../lib/record/decisions/statements.ts'
import type { TestDatabase } from '../../../../support/servers/postgres.ts'
import { freshDatabase } from '../../../../support/servers/shared.ts'
import { testRoles } from '../../../../support/servers/roles.ts'

let database: TestDatabase
let control: Database
let statement: string
let hash: string
const roles = testRoles('worker', 'operator', 'approver', 'auditor')

beforeAll(async () => {
  database = await freshDatabase()
  await migrate(database.url, 'control')
  control = openDatabase(database.url, { name: 'control', applicationName: 'lethe test' })
})
afterAll(async () => {
  await control.close()
  await database.drop()
})
beforeEach(async () => {
  statement = statementFor({
    verb: 'policy.arm',
    object: 'closed',
    facts: {},
    reason: 'für Frau Osei',
    at: new Date(),
  })
  hash = statementHash(statement)
  await storeStatement(control, { statement, signature: 'SIG', token: null })
})

async function kept() {
  const [row] = await control.query(
    z.object({
      statement: z.string().nullable(),
      signature: z.string().nullable(),
      erased: z.boolean(),
    }),
    `SELECT statement, signature, erased_at IS NOT NULL AS erased FROM lethe_control.statements WHERE hash = decode($1, 'hex')`,
    [hash],
  )
  return row
}

describe('a statement', () => {
  test('is kept under the hash of its bytes, once', async () => {
    expect(hash).toBe(statementHash(statement))
    expect(hash).toMatch(/^[0-9a-f]{64}$/)
    expect(await kept()).toEqual({ statement, signature: 'SIG', erased: false })
    expect(reasonOf(statement)).toBe('für Frau Osei')
  })

  test('is good once: not with the same signature, not with another, and not once it was erased', async () => {
    const again = (signature: string) => storeStatement(control, { statement, signature, token: null })
    expect([await again('SIG'), await again('OTHER')]).toEqual([false, false])
    await eraseStatement(control, hash)
    expect(await again('SIG')).toBe(false)
    expect(await kept()).toEqual({ statement: null, signature: null, erased: true })
  })

  test('loses text and signature when it is erased, and keeps its hash', async () => {
    const at = await eraseStatement(control, hash)
    expect(await kept()).toEqual({ statement: null, signature: null, erased: true })
    expect(await lockStatement(control, hash)).toEqual(at)
    expect(await lockStatement(control, 'f'.repeat(64))).toBeUndefined()
    await expect(eraseStatement(control, hash)).rejects.toMatchObject({ code: 'E_NOT_FOUND' })
    expect(reasonOf(null)).toBe('(erased)')
  })

  test('that is no JSON does not stop a listing', () => {
    expect([reasonOf('x'), reasonOf('{}'), reasonOf('null')]).toEqual(Array(3).fill('(unreadable)'))
  })
})

describe('the database', () => {
  const where = () => `WHERE hash = decode('${hash}', 'hex')`
  const erase = (set: string) =>
    `UPDATE lethe_control.statements SET statement = NULL, signature = NULL, erased_at = now() ${set} ${where()}`

  test.each([
    ['another text', () => `UPDATE lethe_control.statements SET statement = 'x' ${where()}`],
    ['another signature', () => `UPDATE lethe_control.statements SET signature = 'x' ${where()}`],
    ['no signature', () => `UPDATE lethe_control.statements SET signature = NULL ${where()}`],
    ['another time', () => `UPDATE lethe_control.statements SET at = now() ${where()}`],
    ['an erasure with another hash', () => erase(`, hash = sha256('x')`)],
    ['an erasure with another time', () => erase(`, at = now()`)],
    ['an erasure that leaves the signature', () => erase('').replace('signature = NULL', `signature = 'x'`)],
    ['an erasure without an instant', () => erase('').replace('erased_at = now()', 'erased_at = NULL')],
    ['a deletion', () => `DELETE FROM lethe_control.statements ${where()}`],
    ['a truncation', () => `TRUNCATE lethe_control.statements CASCADE`],
  ])('refuses even its owner %s', async (_what, text) => {
    await expect(control.execute(text())).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
    expect(await kept()).toEqual({ statement, signature: 'SIG', erased: false })
  })

  test('refuses to erase twice, or to bring a text back', async () => {
    await control.execute(erase(''))
    for (const text of [
      erase(''),
      `UPDATE lethe_control.statements SET statement = 'x', erased_at = NULL ${where()}`,
    ])
      await expect(control.execute(text)).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
  })

  test('keeps no text under the hash of another, and none that is erased and there', async () => {
    for (const values of [
      `(sha256('other'), 'text', NULL, NULL)`,
      `(sha256('text'), 'text', NULL, now())`,
      `(sha256('text'), NULL, NULL, NULL)`,
      `(sha256('text'), NULL, 'SIG', now())`,
    ])
      await expect(
        control.execute(
          `INSERT INTO lethe_control.statements (hash, statement, signature, erased_at) VALUES ${values}`,
        ),
        values,
      ).rejects.toMatchObject({ facts: { sqlstate: '23514' } })
  })

  test('lets the worker and the auditor read, the operator add, and the approver erase', async () => {
    await control.execute(grantsSql('control', { roles }))
    const as = (role: string) =>
      openDatabase(`${database.url}?options=-c%20role%3D${role}`, {
        name: 'control',
        applicationName: 'lethe test',
      })
    const [worker, operator, auditor] = [as(roles.worker), as(roles.operator), as(roles.auditor)]
    const approver = as(roles.approver)
    try {
      const other = { statement: `${statement} `, signature: 'SIG', token: null }
      for (const reader of [worker, auditor]) {
        expect(
          await reader.query(
            z.object({ statement: z.string() }),
            `SELECT statement FROM lethe_control.statements ${where()}`,
          ),
        ).toEqual([{ statement }])
        await expect(storeStatement(reader, other)).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
        await expect(eraseStatement(reader, hash)).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
      }
      expect(await storeStatement(operator, other)).toBe(true)
      expect(await storeStatement(operator, other)).toBe(false)
      await expect(eraseStatement(operator, hash)).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
      expect(await lockStatement(approver, hash)).toBeNull()
      await eraseStatement(approver, hash)
      for (const text of [
        `UPDATE lethe_control.statements SET hash = sha256('x')`,
        `DELETE FROM lethe_control.statements`,
      ])
        await expect(operator.execute(text)).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
    } finally {
      await Promise.all([worker, operator, approver, auditor].map((db) => db.close()))
    }
  })
})
