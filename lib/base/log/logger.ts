/** The log: JSON lines to stderr. Errors pass `errorFields`, and keys that could hold personal data or secrets are removed. */
import { pino, type DestinationStream, type Logger } from 'pino'
import { errorFields } from './fields.ts'

export type { Logger }

export interface LoggerOptions {
  /** The process's role. */
  name: string
  /** Default LETHE_LOG_LEVEL's value as the caller read it; `info` otherwise. */
  level?: string
  destination?: DestinationStream
}

/** Keys that never reach a log line, at the top and one level down. A net under the rule, not the rule. */
const forbidden = [
  'key',
  'keys',
  'rootKey',
  'root_key',
  'email',
  'phone',
  'address',
  'to',
  'body',
  'detail',
  'where',
  'values',
  'parameters',
  'password',
  'secret',
  'token',
  'url',
  'connectionString',
  'authorization',
]

export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      name: options.name,
      level: options.level ?? 'info',
      base: { name: options.name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: forbidden.flatMap((key) => [key, `*.${key}`]), remove: true },
      serializers: { err: errorFields, error: errorFields },
      hooks: {
        // pino copies a bare Error's message into the line; ours goes through errorFields like any other.
        logMethod(args, method) {
          const [first, ...rest] = args
          const given: unknown = first
          if (given instanceof Error) method.apply(this, [{ error: given }, ...rest.map(String)])
          else method.apply(this, args)
        },
      },
    },
    options.destination ?? pino.destination({ dest: 2, sync: true }),
  )
}
