/**
 * Start, run, stop. A process ends for one of three reasons: it was asked to (0 when it stopped in order), a role
 * failed (that error's exit code), or stopping took longer than its deadline (1: whoever waits must not wait for ever;
 * the leases end by themselves and another worker goes on).
 */
import { sleep } from '../lib/base/clock/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import { errorFields, type Logger } from '../lib/base/log/index.ts'
import type { Role, StartRole } from './role.ts'

export interface LifecycleOptions {
  starters: readonly StartRole[]
  /** Aborts when someone asks the process to stop. */
  stop: AbortSignal
  /** ms from the request to stop until the process gives up waiting; below the supervisor's own patience (often 30 s). */
  deadlineMs: number
  log: Logger
  onStarted?(roles: readonly Role[]): Promise<void>
  /** Hands out the function that ends the process in order, for errors that no role sees. */
  onFail?(fail: (error: unknown) => void): void
}

/** Resolves with the exit code. After a missed deadline work may still be going on: the caller exits at once. */
export async function runRoles(options: LifecycleOptions): Promise<number> {
  const { log } = options
  const ended = Promise.withResolvers<number>()
  const fail = (error: unknown): void => {
    log.error(errorFields(error), 'stopping because of an error')
    ended.resolve(error instanceof LetheError ? error.exitCode : 1)
  }
  options.onFail?.(fail)
  options.stop.addEventListener('abort', () => ended.resolve(0), { once: true })
  if (options.stop.aborted) ended.resolve(0)

  const roles: Role[] = []
  try {
    for (const start of options.starters) roles.push(await start(fail))
    await options.onStarted?.(roles)
    log.info({ roles: roles.map((role) => role.name) }, 'started')
  } catch (error) {
    fail(error)
  }
  const code = await ended.promise
  log.info({ roles: roles.map((role) => role.name) }, 'stopping')
  const inTime = await stopAll(roles, options)
  return inTime ? code : code === 0 ? 1 : code
}

async function stopAll(roles: readonly Role[], { deadlineMs, log }: LifecycleOptions): Promise<boolean> {
  const done = new AbortController()
  const open = new Set(roles.map((role) => role.name))
  const stopped = Promise.all(
    roles.map(async (role) => {
      try {
        await role.stop()
      } catch (error) {
        log.error({ role: role.name, ...errorFields(error) }, 'a role did not stop in order')
      }
      open.delete(role.name)
    }),
  ).then(() => true)
  const late = sleep(deadlineMs, done.signal).then(
    () => false,
    () => true,
  )
  const inTime = await Promise.race([stopped, late])
  done.abort()
  if (!inTime)
    log.error({ roles: [...open] }, 'did not stop before the deadline; the leases end by themselves')
  return inTime
}

/**
 * SIGTERM and SIGINT ask to stop; a second one ends the process at once (130). A rejection or exception that nobody
 * caught means that the state of this process is unknown: it stops in order and starts anew.
 */
export function watchProcess(onStray: (error: unknown) => void): { stop: AbortSignal; release(): void } {
  const stop = new AbortController()
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(130)
    stop.abort()
  }
  const listeners = [
    ['SIGTERM', onSignal],
    ['SIGINT', onSignal],
    ['unhandledRejection', onStray],
    ['uncaughtException', onStray],
  ] as const
  for (const [name, listener] of listeners) process.on(name, listener)
  return {
    stop: stop.signal,
    release() {
      for (const [name, listener] of listeners) process.off(name, listener)
    },
  }
}
