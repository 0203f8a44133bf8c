import pino from 'pino'
import { expect, test } from 'vitest'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { runRoles } from '../../../workers/lifecycle.ts'
import type { Role, StartRole } from '../../../workers/role.ts'

const log = pino({ level: 'silent' })

function role(name: string, stop: () => Promise<void> = () => Promise.resolve()): Role {
  return { name, problem: () => null, stop }
}
const started =
  (made: Role): StartRole =>
  () =>
    Promise.resolve(made)

test('a process that is asked to stop stops every role and ends with 0', async () => {
  const stop = new AbortController()
  const stopped: string[] = []
  const note = (name: string) => () => {
    stopped.push(name)
    return Promise.resolve()
  }
  const code = await runRoles({
    starters: [started(role('a', note('a'))), started(role('b', note('b')))],
    stop: stop.signal,
    deadlineMs: 1000,
    log,
    onStarted: () => Promise.resolve(stop.abort()),
  })
  expect(code).toBe(0)
  expect(stopped.sort()).toEqual(['a', 'b'])
})

test('a role that fails stops the others and ends the process with its exit code', async () => {
  let stopped = false
  const failing: StartRole = (fail) => {
    setImmediate(() => fail(new LetheError('E_REDIS_UNAVAILABLE', { message: 'away' })))
    return Promise.resolve(role('failing'))
  }
  const other = role('other', () => {
    stopped = true
    return Promise.resolve()
  })
  const code = await runRoles({
    starters: [failing, started(other)],
    stop: new AbortController().signal,
    deadlineMs: 1000,
    log,
  })
  expect(code).toBe(20)
  expect(stopped).toBe(true)
})

test('a role that does not stop before the deadline ends the process with 1 all the same', async () => {
  const stop = new AbortController()
  stop.abort()
  const hung = role('hung', () => new Promise(() => undefined))
  expect(await runRoles({ starters: [started(hung)], stop: stop.signal, deadlineMs: 20, log })).toBe(1)
})

test('a role that cannot start stops the ones that did', async () => {
  let stopped = false
  const first = role('first', () => {
    stopped = true
    return Promise.resolve()
  })
  const broken: StartRole = () => Promise.reject(new LetheError('E_SCHEMA_OLD', { message: 'old' }))
  const code = await runRoles({
    starters: [started(first), broken],
    stop: new AbortController().signal,
    deadlineMs: 1000,
    log,
  })
  expect(code).toBe(57)
  expect(stopped).toBe(true)
})

test('an error that nobody caught ends the process in order with 1', async () => {
  const code = await runRoles({
    starters: [started(role('a'))],
    stop: new AbortController().signal,
    deadlineMs: 1000,
    log,
    onFail: (fail) => setImmediate(() => fail(new Error('stray'))),
  })
  expect(code).toBe(1)
})
