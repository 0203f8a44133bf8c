import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  isOfOneRow,
  refuserOf,
  checkClockSkew,
  clockSkewSeconds,
  databaseNow,
  openDatabase,
  type Database,
} from '../../../../../lib/base/db/index.ts'
import { LetheError } from '../../../../../lib/base/errors/index.ts'
import {
  startPgBouncer,
  startPostgres,
  type PostgresServer,
  type TestDatabase,
} from '../../../../support/servers/servers.ts'

let server: PostgresServer
let database: TestDatabase
let db: Database
const closers: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  server = await startPostgres()
  database = await server.createDatabase()
  db = open()
  await db.execute('CREATE TABLE parents (id int PRIMARY KEY, email text UNIQUE, n int CHECK (n > 0))')
  await db.execute(
    'CREATE TABLE children (id int PRIMARY KEY, parent_id int CONSTRAINT owner REFERENCES parents)',
  )
})
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})
afterAll(async () => {
  await db.close()
  await server.stop()
})

function open(url = database.url, max = 4): Database {
  return openDatabase(url, { name: 'clinic', applicationName: 'lethe test', max })
}

async function failure(work: Promise<unknown>): Promise<LetheError> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (error instanceof LetheError) return error
  throw new Error(`expected a LetheError, got ${String(error)}`)
}

const setting = z.object({ value: z.string() })

describe('a connection', () => {
  test('has row security off, time-outs, UTC and durable commits', async () => {
    const read = async (name: string) => {
      const [row] = await db.query(setting, 'SELECT current_setting($1) AS value', [name])
      return row?.value
    }
    expect(await read('row_security')).toBe('off')
    expect(await read('statement_timeout')).toBe('1min')
    expect(await read('lock_timeout')).toBe('10s')
    expect(await read('idle_in_transaction_session_timeout')).toBe('30s')
    expect(await read('TimeZone')).toBe('UTC')
    expect(await read('synchronous_commit')).toBe('on')
    expect(await read('application_name')).toBe('lethe test')
  })

  test('refuses to write where it was opened read-only', async () => {
    const reader = openDatabase(database.url, {
      name: 'clinic',
      applicationName: 'lethe test',
      readOnly: true,
    })
    closers.push(() => reader.close())
    const error = await failure(reader.execute('CREATE TABLE nothing ()'))
    expect(error.facts['sqlstate']).toBe('25006')
  })

  test('that the server ended is replaced at the next statement', async () => {
    const own = open(database.url, 1)
    closers.push(() => own.close())
    const [row] = await own.query(z.object({ pid: z.number() }), 'SELECT pg_backend_pid() AS pid')
    await db.execute('SELECT pg_terminate_backend($1)', [row?.pid])
    await own.ping().catch(() => undefined)
    await expect(own.ping()).resolves.toBeUndefined()
  })
})

const raising = (code: string) => `DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '${code}'; END $$`

describe('an error', () => {
  const secret = 'canary-7f3a@example.org'

  test('of a unique key names the constraint and never the value', async () => {
    await db.execute('INSERT INTO parents (id, email) VALUES (1, $1)', [secret])
    const error = await failure(db.execute('INSERT INTO parents (id, email) VALUES (2, $1)', [secret]))
    expect(error.code).toBe('E_DATABASE')
    expect(error.facts).toMatchObject({
      sqlstate: '23505',
      constraint: 'parents_email_key',
      table: 'parents',
    })
    expect(JSON.stringify([error.message, error.left, error.facts, error.stack, error.cause])).not.toContain(
      secret,
    )
  })

  test('of a wrong value never repeats it', async () => {
    const error = await failure(db.execute(`SELECT $1::text::int`, [secret]))
    expect(error.message).toContain('22P02')
    expect(`${error.message}${error.stack}`).not.toContain(secret)
  })

  test('raised by a function never repeats its words, whatever class it claims', async () => {
    const error = await failure(
      db.execute(
        `DO $$ BEGIN RAISE EXCEPTION 'row ${secret}' USING ERRCODE = 'undefined_table', DETAIL = '${secret}'; END $$`,
      ),
    )
    expect(`${error.message}${error.stack}`).not.toContain(secret)
  })

  // D3 of issue 10: what one row is to blame for, and what refuses every row alike
  test.each([
    [true, 'a value that does not fit', `SELECT $1::text::int`],
    [true, 'a code of the application', raising('45000')],
    [true, 'a refusal of the application', raising('42501')],
    [true, 'a statement that takes too long', `SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)`],
    [false, 'a full disk', raising('53100')],
    [false, 'a name that is not there', `SELECT nme FROM parents`],
    [false, 'a name that is not there, in a function', `DO $$ BEGIN PERFORM nme FROM parents; END $$`],
    [false, 'a transaction that may only read', `SET TRANSACTION READ ONLY; DELETE FROM parents`],
    [false, 'a right that is missing', `SET LOCAL ROLE pg_monitor; DELETE FROM parents`],
  ])('says %s to whether one row may be to blame: %s', async (one, _, text) => {
    const error = await failure(db.execute(text, text.includes('$1') ? [secret] : []))
    expect(isOfOneRow(error)).toBe(one)
    expect(`${error.message}${JSON.stringify(error.facts)}`).not.toContain(secret)
  })

  test('names the function that raised it, and nothing that a quoted statement looks like', async () => {
    await db.execute(
      `CREATE FUNCTION no_way(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('SELECT 1 / 0 AS %I', $1); END $$`,
    )
    for (const value of [
      `a\nPL/pgSQL function ${secret}() line 1 at RAISE\nb`,
      `\nSQL function "${secret}" statement 1`,
    ]) {
      const error = await failure(db.execute('SELECT no_way($1)', [value]))
      expect(refuserOf(error)).toBe('no_way (SQLSTATE 22012)')
      expect(`${error.message}${JSON.stringify(error.facts)}`).not.toContain(secret)
    }
  })

  test('about a name the statement spells wrong says which', async () => {
    const error = await failure(db.execute('SELECT nme FROM parents'))
    expect(error.message).toContain('column "nme" does not exist')
  })

  test.each([
    ['E_BLOCKED_BY_REFERENCE', 'DELETE FROM parents WHERE id = 50'],
    ['E_STATEMENT_TIMEOUT', `SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)`],
  ])('%s is told apart', async (code, text) => {
    await db.execute('INSERT INTO parents (id) VALUES (50) ON CONFLICT DO NOTHING')
    await db.execute('INSERT INTO children VALUES (50, 50) ON CONFLICT DO NOTHING')
    expect((await failure(db.execute(text))).code).toBe(code)
  })

  test('of a foreign key carries the name of the constraint', async () => {
    await db.execute('INSERT INTO parents (id) VALUES (51) ON CONFLICT DO NOTHING')
    await db.execute('INSERT INTO children VALUES (51, 51) ON CONFLICT DO NOTHING')
    const error = await failure(db.execute('DELETE FROM parents WHERE id = 51'))
    expect(error.facts).toMatchObject({ constraint: 'owner', table: 'children' })
  })

  test('of a lock that is not granted in time is E_LOCK_TIMEOUT', async () => {
    await db.execute('INSERT INTO parents (id) VALUES (52) ON CONFLICT DO NOTHING')
    const error = await db.transaction(async (holder) => {
      await holder.execute('SELECT FROM parents WHERE id = 52 FOR UPDATE')
      return failure(
        db.transaction((tx) => tx.execute('SELECT FROM parents WHERE id = 52 FOR UPDATE'), {
          lockTimeoutMs: 10,
        }),
      )
    })
    expect(error.code).toBe('E_LOCK_TIMEOUT')
    expect(error.retryable).toBe(true)
  })

  test('of a server that is not there is E_DATABASE_UNAVAILABLE', async () => {
    const away = open('postgres://nobody@127.0.0.1:1/none')
    closers.push(() => away.close())
    expect((await failure(away.ping())).code).toBe('E_DATABASE_UNAVAILABLE')
  })

  test('of a row with another shape names the column and not its value', async () => {
    const error = await failure(db.query(z.object({ n: z.number() }), `SELECT '${secret}' AS n`))
    expect(error.code).toBe('E_INTERNAL')
    expect(error.message).toContain('n')
    expect(error.message).not.toContain(secret)
  })
})

describe('a transaction', () => {
  test('leaves nothing behind when its function throws', async () => {
    await expect(
      db.transaction(async (tx) => {
        await tx.execute('INSERT INTO parents (id) VALUES (60)')
        throw new Error('stop')
      }),
    ).rejects.toThrow('stop')
    expect(await db.query(z.object({ id: z.number() }), 'SELECT id FROM parents WHERE id = 60')).toEqual([])
  })

  test('runs again after a serialization failure when it may', async () => {
    await db.execute('INSERT INTO parents (id, n) VALUES (70, 1)')
    let turns = 0
    await db.transaction(
      async (tx) => {
        turns += 1
        await tx.query(z.object({ n: z.number() }), 'SELECT n FROM parents WHERE id = 70')
        if (turns === 1) await db.execute('UPDATE parents SET n = n + 1 WHERE id = 70')
        await tx.execute('UPDATE parents SET n = n + 10 WHERE id = 70')
      },
      { isolation: 'repeatable read', retry: true },
    )
    expect(turns).toBe(2)
    expect(await db.query(z.object({ n: z.number() }), 'SELECT n FROM parents WHERE id = 70')).toEqual([
      { n: 12 },
    ])
  })

  test('whose connection is ended reports it and gives the pool a new one', async () => {
    const own = open(database.url, 1)
    closers.push(() => own.close())
    const error = await failure(
      own.transaction(async (tx) => {
        const [row] = await tx.query(z.object({ pid: z.number() }), 'SELECT pg_backend_pid() AS pid')
        await db.execute('SELECT pg_terminate_backend($1)', [row?.pid])
        await tx.execute('SELECT 1')
      }),
    )
    expect(error.code).toBe('E_DATABASE_UNAVAILABLE')
    await expect(own.ping()).resolves.toBeUndefined()
  })
})

describe('a pool before the server', () => {
  test.each([
    ['transaction', 10],
    ['transaction', 1],
    ['statement', 10],
  ] as const)('in %s mode with %i connections is refused', async (mode, size) => {
    const bouncer = await startPgBouncer(database.url, mode, size)
    closers.push(() => bouncer.stop())
    const through = open(bouncer.url)
    closers.unshift(() => through.close())
    expect((await failure(through.ping())).code).toBe('E_POOLER_TRANSACTION_MODE')
  })

  test.each([10, 1])('in session mode with %i connections is fine', async (size) => {
    const bouncer = await startPgBouncer(database.url, 'session', size)
    closers.push(() => bouncer.stop())
    const through = open(bouncer.url)
    closers.unshift(() => through.close())
    await expect(through.ping()).resolves.toBeUndefined()
  })
})

describe('the clocks', () => {
  test('of one server agree with themselves', async () => {
    expect(Math.abs(await clockSkewSeconds(db, db))).toBeLessThan(5)
    expect(await databaseNow(db)).toBeInstanceOf(Date)
  })

  test('that differ by more than a minute are refused with the figure', async () => {
    const ahead: Pick<Database, 'query' | 'execute'> = {
      query: (schema, statement, values) =>
        db.query(
          schema,
          typeof statement === 'string'
            ? statement.replace('clock_timestamp()', `(clock_timestamp() + interval '90 seconds')`)
            : statement,
          values,
        ),
      execute: (statement, values) => db.execute(statement, values),
    }
    await expect(checkClockSkew(db, ahead, 'clinic')).rejects.toMatchObject({
      code: 'E_CLOCK_SKEW',
      facts: { target: 'clinic', seconds: 90 },
    })
    await expect(checkClockSkew(ahead, db, 'clinic')).rejects.toThrow('90 s behind')
  })
})
