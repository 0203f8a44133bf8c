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
  return new LetheError(code, {
    message: `Database ${name}: ${reason}${objects}, SQLSTATE ${sqlstate}${text === null ? '' : `: ${text}`}.`,
    left: 'The transaction was rolled back.',
    facts: {
      database: name,
      sqlstate,
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
