/**
 * The only place where connections are made. A Database parses every row it returns, turns PostgreSQL's errors into
 * Lethe's own (without row values), and refuses a pool that would lose session settings between two statements.
 */
import { hash } from 'node:crypto'
import pg from 'pg'
import type { z } from 'zod'
import { randomFraction, sleep } from '../clock/index.ts'
import { LetheError } from '../errors/index.ts'
import { databaseError, isTransient } from './failure.ts'
import { refuseTransactionPooler } from './pooler.ts'

/** A statement's text, or one that each connection parses and plans once (`prepared`). */
export type Statement = string | { readonly name: string; readonly text: string }

const names = new Map<string, string>()

/**
 * For the few statements that every step of every run sends: their text is fixed and any plan of theirs is the best one.
 * Each text stays on the server as long as the connection, so never for a text that is made up anew each time.
 */
export function prepared(text: string): Statement {
  const name = names.get(text) ?? `lethe_${hash('sha256', text).slice(0, 24)}`
  names.set(text, name)
  return { name, text }
}

export interface Queryable {
  /** Rows parsed by `schema`; int8 and numeric arrive as strings. Throws LetheError only. */
  query<T>(schema: z.ZodType<T>, statement: Statement, values?: readonly unknown[]): Promise<T[]>
  /** The number of rows the statement touched. Throws LetheError only. */
  execute(statement: Statement, values?: readonly unknown[]): Promise<number>
}

export interface Transaction extends Queryable {
  /** The connection itself, for COPY and cursors only: what it throws is not converted. */
  readonly client: pg.PoolClient
}

export interface TransactionOptions {
  isolation?: 'read committed' | 'repeatable read' | 'serializable'
  readOnly?: boolean
  /**
   * Run the function again (four times at most) after a serialization failure, a deadlock, or a connection lost before
   * COMMIT. Only for functions whose effects all stand in this transaction. A connection lost during COMMIT is never
   * tried again here: nobody knows whether it took effect, so the caller has to read the record first.
   */
  retry?: boolean
  lockTimeoutMs?: number
  statementTimeoutMs?: number
}

export interface Database extends Queryable {
  /** Name for messages: `control`, or the store's name in the map. */
  readonly name: string
  transaction<T>(fn: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>
  /**
   * The same database over connections of its own (2, read-only, opened when first asked), for what an open transaction
   * has to ask outside itself: it never waits for a connection that another such transaction holds.
   */
  beside(): Database
  /** One round trip, in milliseconds. */
  ping(): Promise<void>
  close(): Promise<void>
}

export interface OpenOptions {
  name: string
  applicationName: string
  /** Connections at most; default 4. */
  max?: number
  /** Every transaction of this database is read-only. */
  readOnly?: boolean
  /** Default 60 000: no statement of Lethe's takes longer in sound operation. 0: none. */
  statementTimeoutMs?: number
  /** Default 10 000. 0: none. */
  lockTimeoutMs?: number
  /** IANA name; what a store's own expressions mean by a timestamp without a zone, or by a day. Default UTC. */
  timeZone?: string | undefined
}

const CONNECT_TIMEOUT_MS = 10_000
const RETRIES = 4

/** Opens nothing yet: the first statement connects. A lost idle connection is replaced silently. */
export function openDatabase(url: string, options: OpenOptions): Database {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: options.applicationName,
    max: options.max ?? 4,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    allowExitOnIdle: false,
    // The pool awaits this before it hands the connection out; its published types don't say so.
    // oxlint-disable-next-line typescript/no-misused-promises
    onConnect: (client) => prepareConnection(client, url, options),
  })
  // An idle connection that breaks reports here; the pool has dropped it already, the next statement opens another.
  pool.on('error', () => undefined)

  const run = async (
    client: pg.Pool | pg.PoolClient,
    statement: Statement,
    values: readonly unknown[] = [],
  ) => {
    try {
      const asked = typeof statement === 'string' ? { text: statement } : statement
      return await client.query({ ...asked, values: [...values] })
    } catch (error) {
      throw databaseError(error, options.name)
    }
  }
  const queryable = (client: pg.Pool | pg.PoolClient): Queryable => ({
    async query(schema, statement, values) {
      const result = await run(client, statement, values)
      return result.rows.map((row: unknown) => parseRow(schema, row, options.name))
    },
    async execute(statement, values) {
      return (await run(client, statement, values)).rowCount ?? 0
    },
  })

  async function once<T>(fn: (tx: Transaction) => Promise<T>, settings: TransactionOptions): Promise<T> {
    const client = await connect(pool, options.name)
    let broken = false
    // Without a listener a connection that breaks between two statements would end the process.
    const onError = () => {
      broken = true
    }
    client.on('error', onError)
    const tx: Transaction = { ...queryable(client), client }
    try {
      await tx.execute(beginStatement(settings))
      let result: T
      try {
        for (const text of localSettings(settings)) await tx.execute(text)
        result = await fn(tx)
      } catch (error) {
        // A connection that can't roll back is thrown away: the server rolls back when it goes.
        await client.query('ROLLBACK').catch(() => {
          broken = true
        })
        throw error instanceof pg.DatabaseError ? databaseError(error, options.name) : error
      }
      await commit(tx)
      return result
    } catch (error) {
      if (error instanceof LetheError && error.code === 'E_DATABASE_UNAVAILABLE') broken = true
      throw error
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }

  let aside: Database | null = null
  return {
    name: options.name,
    ...queryable(pool),
    beside() {
      aside ??= openDatabase(url, { ...options, max: 2, readOnly: true })
      return aside
    },
    async transaction(fn, settings = {}) {
      for (let attempt = 0; ; attempt += 1) {
        try {
          return await once(fn, settings)
        } catch (error) {
          if (settings.retry !== true || attempt >= RETRIES || !isTransient(error)) throw error
          await sleep(2 ** attempt * 25 * (0.5 + randomFraction()))
        }
      }
    },
    async ping() {
      await run(pool, 'SELECT 1')
    },
    async close() {
      await aside?.close()
      if (!pool.ending) await pool.end()
    },
  }
}

async function connect(pool: pg.Pool, name: string): Promise<pg.PoolClient> {
  try {
    return await pool.connect()
  } catch (error) {
    throw databaseError(error, name)
  }
}

/**
 * Whatever a role or a database has set: keys leave the database as texts (lib/data/datamap/key-text.ts), so each value has to be
 * written alike in every session.
 */
const FIXED_TEXTS = [
  `SET DateStyle = 'ISO, YMD'`,
  `SET IntervalStyle = 'postgres'`,
  `SET bytea_output = 'hex'`,
  `SET extra_float_digits = 1`,
  `SET lc_monetary = 'C'`,
]

/**
 * Settings are SET after connecting, not sent as start-up parameters, which poolers refuse; and only after the pooler
 * check, because on a shared server connection they would leak into other applications' sessions.
 * row_security = off: a policy that silently hid rows would make "nothing left" a lie, so PostgreSQL raises instead.
 * jit = off: a plan's conditions are long, and compiling them takes seconds where running them takes milliseconds.
 * synchronous_commit is only ever raised: the erasure ledger must be durable when its write returns.
 */
async function prepareConnection(client: pg.ClientBase, url: string, options: OpenOptions): Promise<void> {
  await refuseTransactionPooler(client, url, options)
  await client.query(
    [
      `SET statement_timeout = ${options.statementTimeoutMs ?? 60_000}`,
      `SET lock_timeout = ${options.lockTimeoutMs ?? 10_000}`,
      `SET idle_in_transaction_session_timeout = 30000`,
      `SET row_security = off`,
      `SET jit = off`,
      `SET TimeZone = ${pg.escapeLiteral(options.timeZone ?? 'UTC')}`,
      ...FIXED_TEXTS,
      `SET default_transaction_read_only = ${options.readOnly === true ? 'on' : 'off'}`,
      `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')`,
    ].join('; '),
  )
}

function beginStatement(settings: TransactionOptions): string {
  const isolation = settings.isolation ?? 'read committed'
  return `BEGIN ISOLATION LEVEL ${isolation}${settings.readOnly === true ? ' READ ONLY' : ''}`
}

function localSettings(settings: TransactionOptions): string[] {
  const texts: string[] = []
  if (settings.lockTimeoutMs !== undefined)
    texts.push(`SET LOCAL lock_timeout = ${Math.round(settings.lockTimeoutMs)}`)
  if (settings.statementTimeoutMs !== undefined)
    texts.push(`SET LOCAL statement_timeout = ${Math.round(settings.statementTimeoutMs)}`)
  return texts
}

async function commit(tx: Transaction): Promise<void> {
  try {
    await tx.execute('COMMIT')
  } catch (error) {
    if (error instanceof LetheError && error.code === 'E_DATABASE_UNAVAILABLE')
      throw new LetheError('E_DATABASE_UNAVAILABLE', {
        message: error.message,
        left: 'The connection was lost during COMMIT: the transaction took effect whole or not at all.',
        facts: { ...error.facts, commitUnknown: true },
      })
    throw error
  }
}

function parseRow<T>(schema: z.ZodType<T>, row: unknown, name: string): T {
  const parsed = schema.safeParse(row)
  if (parsed.success) return parsed.data
  const columns = parsed.error.issues.map((issue) => issue.path.join('.') || '(row)')
  throw new LetheError('E_INTERNAL', {
    message: `Database ${name}: a row doesn't have the shape its statement promises (${columns.join(', ')}).`,
    left: 'The statement itself may have taken effect.',
  })
}
