import { expect, test } from 'vitest'
import { LetheError } from '../../../../../lib/base/errors/index.ts'
import { createLogger, errorFields } from '../../../../../lib/base/log/index.ts'

const canary = 'canary-4711@example.org'

function logged(write: (log: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = []
  const log = createLogger({
    name: 'test',
    level: 'debug',
    destination: { write: (line) => lines.push(line) },
  })
  write(log)
  expect(lines.length).toBeGreaterThan(0)
  return lines.join('')
}

function databaseFailure(): Error {
  return Object.assign(new Error(`duplicate key: ${canary}`), {
    code: '23505',
    detail: `Key (email)=(${canary}) already exists.`,
    constraint: 'patients_email_key',
    where: canary,
  })
}

test.each([
  ['an error alone', (log: ReturnType<typeof createLogger>) => log.error(databaseFailure())],
  [
    'an error under err',
    (log: ReturnType<typeof createLogger>) => log.error({ err: databaseFailure() }, 'failed'),
  ],
  [
    'an error under error',
    (log: ReturnType<typeof createLogger>) => log.error({ error: databaseFailure() }, 'x'),
  ],
  ['an error with words', (log: ReturnType<typeof createLogger>) => log.error(databaseFailure(), 'failed')],
  [
    'an error whose cause has it',
    (log: ReturnType<typeof createLogger>) => log.error(new Error('x', { cause: databaseFailure() })),
  ],
  [
    'a forbidden key',
    (log: ReturnType<typeof createLogger>) => log.info({ email: canary, step: { rootKey: [canary] } }),
  ],
  ['a child’s forbidden key', (log: ReturnType<typeof createLogger>) => log.child({ key: canary }).info('x')],
])('%s leaves no value in the line', (_name, write) => {
  expect(logged(write)).not.toContain(canary)
})

test('a line of an error has its code, place and constraint', () => {
  const line = logged((log) => log.error({ error: databaseFailure() }, 'failed'))
  expect(line).toContain('"sqlstate":"23505"')
  expect(line).toContain('patients_email_key')
  expect(line).toContain('logger.test.ts:')
})

test('Lethe’s own error keeps its message', () => {
  expect(errorFields(new LetheError('E_LEASED', { message: 'Held by w2.' }))).toEqual({
    code: 'E_LEASED',
    message: 'Held by w2.',
  })
  expect(errorFields('text')).toEqual({ code: 'E_INTERNAL', message: 'a thrown string' })
})

test('Fields that a caller has made of an error stand in the line as they are.', () => {
  const error = new LetheError('E_LOCK_TIMEOUT', { message: 'a lock was not granted in time.' })
  const line = logged((log) => log.error({ error: errorFields(error) }, 'step failed'))
  expect(JSON.parse(line)).toMatchObject({ error: { code: 'E_LOCK_TIMEOUT', message: error.message } })
})
