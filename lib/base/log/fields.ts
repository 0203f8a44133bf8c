import { LetheError } from '../errors/index.ts'

export interface ErrorFields {
  code: string
  message: string
  sqlstate?: string
  constraint?: string
}

/**
 * What may be logged of an error. Lethe's own messages are safe by rule; of any other error only its name, its place in
 * our code and, from PostgreSQL, the SQLSTATE and the constraint's name: messages and `detail` carry row values.
 */
export function errorFields(error: unknown): ErrorFields {
  const known = typeof error === 'object' && error !== null ? made.get(error) : undefined
  if (known !== undefined) return known
  const fields = describe(error)
  made.set(fields, fields)
  return fields
}

/** Fields already made pass unchanged: the log's serializer sees what a caller has made, too. */
const made = new WeakMap<object, ErrorFields>()

function describe(error: unknown): ErrorFields {
  if (error instanceof LetheError)
    return {
      code: error.code,
      message: error.message,
      ...text('sqlstate', error.facts['sqlstate']),
      ...text('constraint', error.facts['constraint']),
    }
  if (!(error instanceof Error)) return { code: 'E_INTERNAL', message: `a thrown ${typeof error}` }
  const sqlstate = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return {
    code: 'E_INTERNAL',
    message: `${error.name}${place(error)}`,
    ...text('sqlstate', /^[0-9A-Z]{5}$/.test(sqlstate) ? sqlstate : undefined),
    ...text('constraint', 'constraint' in error ? error.constraint : undefined),
  }
}

function text(name: 'sqlstate' | 'constraint', value: unknown): Partial<ErrorFields> {
  return typeof value === 'string' ? { [name]: value } : {}
}

/** The first frame of the stack: ` at file:line`. The stack's head is the message, so only frames are read. */
function place(error: Error): string {
  const frame = error.stack?.split('\n').find((line) => /^\s+at .*:\d+:\d+\)?$/.test(line))
  const file = frame?.match(/([^/(\s]+:\d+):\d+\)?$/)?.[1]
  return file === undefined ? '' : ` at ${file}`
}
