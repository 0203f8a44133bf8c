/**
 * PostgreSQL's errors as Lethe's own. `detail`, `where`, `hint` and most messages carry row values, so none of them
 * passes; neither does the original error as a cause, since loggers print causes.
 */
import pg from 'pg'
import { LetheError, type ErrorCode } from '../errors/index.ts'

const byState: Readonly<Record<string, ErrorCode>> = {
  '23503': 'E_BLOCKED_BY_REFERENCE',
  '25P03': 'E_DATABASE_UNAVAILABLE', // idle in transaction for too long: the server closed the connection
  '28000': 'E_DATABASE_LOGIN',
  '28P01': 'E_DATABASE_LOGIN',
  '3D000': 'E_DATABASE_LOGIN',
  '42501': 'E_DATABASE_PRIVILEGE',
  '55P03': 'E_LOCK_TIMEOUT',
  '57014': 'E_STATEMENT_TIMEOUT',
  '57P01': 'E_DATABASE_UNAVAILABLE', // shut down, restarted, or this session was terminated
  '57P02': 'E_DATABASE_UNAVAILABLE',
  '57P03': 'E_DATABASE_UNAVAILABLE',
  '57P05': 'E_DATABASE_UNAVAILABLE',
  '53300': 'E_DATABASE_UNAVAILABLE', // too many connections
}

const words: Readonly<Partial<Record<ErrorCode, string>>> = {
  E_BLOCKED_BY_REFERENCE: 'a foreign key still points at the row',
  E_DATABASE_LOGIN: 'the role, the password or the database in its address was refused',
  E_DATABASE_PRIVILEGE: 'permission was refused',
  E_DATABASE_UNAVAILABLE: 'the server could not be reached or closed the connection',
  E_LOCK_TIMEOUT: 'a lock was not granted in time',
  E_STATEMENT_TIMEOUT: 'a statement took longer than its limit',
}

/** Converts whatever `pg` threw on database `name`; a LetheError passes unchanged. */
export function databaseError(error: unknown, name: string): LetheError {
  if (error instanceof LetheError) return error
  if (!(error instanceof pg.DatabaseError)) return connectionError(error, name)
  const sqlstate = error.code ?? 'XX000'
  const code = codeFor(sqlstate)
  const objects = [
    error.constraint === undefined ? '' : ` (constraint ${error.constraint})`,
    error.table === undefined
      ? ''
      : ` on ${error.schema === undefined ? '' : `${error.schema}.`}${error.table}`,
  ].join('')
  const reason = words[code] ?? 'a statement failed'
  const text = safeText(error)
  const raised = raisedBy(error)
  const by = raised.name === null ? '' : `, raised by function ${raised.name}`
  return new LetheError(code, {
    message: `Database ${name}: ${reason}${objects}${by}, SQLSTATE ${sqlstate}${text === null ? '' : `: ${text}`}.`,
    left: 'The transaction was rolled back.',
    facts: {
      database: name,
      sqlstate,
      mayBeOfOneRow: mayBeOfOneRow(error, sqlstate, raised.inside),
      ...(raised.name === null ? {} : { raisedBy: raised.name }),
      ...(error.constraint === undefined ? {} : { constraint: error.constraint }),
      ...(error.table === undefined ? {} : { table: error.table }),
      ...(error.schema === undefined ? {} : { schema: error.schema }),
    },
  })
}

/** Whether running the same transaction again can help; a connection lost during COMMIT can't be repeated blindly. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof LetheError)) return false
  if (error.facts['commitUnknown'] === true) return false
  return (
    error.code === 'E_DATABASE_UNAVAILABLE' ||
    error.facts['sqlstate'] === '40001' ||
    error.facts['sqlstate'] === '40P01'
  )
}

/**
 * Whether another row might pass the statement that failed: a constraint, a value, an exception of the application's own
 * trigger, a statement that took too long. What the server, the session, the statement's text or a missing right is to blame
 * for refuses every row alike. Whoever works on many rows at once finds the one by halves.
 */
export function isOfOneRow(error: unknown): error is LetheError {
  return error instanceof LetheError && error.facts['mayBeOfOneRow'] === true
}

/** What refused, in a word for lists, without any value: the constraint, else the function that raised it, with the SQLSTATE. */
export function refuserOf({ facts }: LetheError): string {
  const { constraint, raisedBy: name, sqlstate } = facts
  if (typeof constraint === 'string') return constraint
  return typeof name === 'string' ? `${name} (SQLSTATE ${String(sqlstate)})` : `SQLSTATE ${String(sqlstate)}`
}

/** The server's own faults, whoever raises them: connection, rollback by the server, resources, lock, shutdown, system, internal. */
const ofServer = /^(08|40|53|55P03|57P|58|XX)/
/** Syntax, or a name that doesn't exist. */
const ofText = /^(3F000|42601|42703|42704|42883|42P01|42P02)$/
/** Outside a function these are of the session or of the statement as a whole, such as a transaction that may only read. */
const ofStatement = /^(0A|25|26|28|34|3D|42|55|F0|HV)/

function mayBeOfOneRow(error: pg.DatabaseError, sqlstate: string, insideFunction: boolean): boolean {
  if (ofServer.test(sqlstate) || ofText.test(sqlstate)) return false
  // a right that is missing is missing for every row; row-level security and an application's own RAISE use the same code
  if (sqlstate === '42501') return error.routine?.startsWith('aclcheck_error') !== true
  return insideFunction || !ofStatement.test(sqlstate)
}

/** A line of an error's context that names a function: `PL/pgSQL function no_way() line 1 at RAISE`. */
const functionLine = /^(?:PL\/\w+|SQL) function ("(?:[^"]|"")+"|[\w.$]+)/

/**
 * The function in which an error came up. A context may quote a statement with values in it, over several lines: only its
 * first line and, in the form that no quoted statement ends with, its last one are trusted to be PostgreSQL's own.
 */
function raisedBy(error: pg.DatabaseError): { inside: boolean; name: string | null } {
  const lines = error.where?.split('\n') ?? []
  const last = lines.at(-1) ?? ''
  const own = [...(/ line \d+ at [\w ]+$/.test(last) ? [last] : []), lines[0] ?? '']
  const name = own.map((line) => functionLine.exec(line)?.[1]).find((found) => found !== undefined)
  return { inside: name !== undefined || error.routine?.startsWith('exec_stmt') === true, name: name ?? null }
}

function codeFor(sqlstate: string): ErrorCode {
  return byState[sqlstate] ?? (sqlstate.startsWith('08') ? 'E_DATABASE_UNAVAILABLE' : 'E_DATABASE')
}

/**
 * The server's own words, only where they can't hold a row value: complaints about names and syntax (class 42) raised by
 * the parser itself. A function's RAISE may use the same class with anything in it: it is known by its call stack.
 */
function safeText(error: pg.DatabaseError): string | null {
  const fromFunction = error.where !== undefined || error.routine?.startsWith('exec_stmt') === true
  return error.code?.startsWith('42') === true && !fromFunction ? error.message : null
}

function connectionError(error: unknown, name: string): LetheError {
  if (error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError)
    return new LetheError('E_INTERNAL', {
      message: `Database ${name}: the driver was used wrongly (${error.name}).`,
    })
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
  return new LetheError('E_DATABASE_UNAVAILABLE', {
    message: `Database ${name}: the server could not be reached or closed the connection${code === null ? '' : ` (${code})`}.`,
    left: 'The transaction, if one was open, was rolled back.',
    facts: { database: name, ...(code === null ? {} : { code }) },
  })
}
