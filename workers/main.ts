/** `lethe work ROLE…`: runs one or more roles in this process until it is told to stop. */
import { LetheError } from '../lib/base/errors/index.ts'
import { sleep } from '../lib/base/clock/index.ts'
import type { Environment } from '../lib/config/index.ts'
import { requireSchema } from '../lib/base/db/index.ts'
import { beatWorker, forgetWorker } from '../lib/record/ledger/index.ts'
import { errorFields } from '../lib/base/log/index.ts'
import { inspectRedis, openQueues } from '../lib/base/queue/index.ts'
import type { Registry } from '../jobs/kind.ts'
import { registry as everyKind } from '../jobs/registry.ts'
import { openContext } from './context.ts'
import { dispatch } from './dispatcher.ts'
import { erasure } from './erasure.ts'
import { evidence } from './evidence.ts'
import { startHealth, type HealthServer } from './health.ts'
import { runRoles, watchProcess } from './lifecycle.ts'
import type { Process } from './process.ts'
import { retention } from './retention.ts'
import type { StartRole } from './role.ts'

export const roles: Readonly<Record<string, (process: Process) => StartRole>> = {
  dispatcher: (process) => dispatch(process),
  retention: (process) => retention(process),
  erasure: (process) => erasure(process),
  evidence: (process) => evidence(process),
}

export interface WorkOptions {
  env?: Environment
  registry?: Registry
  roles?: typeof roles
  /** ms for stopping in order; below the 30 s that most supervisors wait. */
  deadlineMs?: number
  /** Shown to people and kept in the record of live workers. */
  version?: string
}

const beatMs = 15_000
/** After this the sockets are left to the end of the process. */
const closeMs = 5_000

/**
 * Resolves with the exit code once everything has stopped, or the deadline has passed: the caller exits the process at
 * once. `all` means every role. Throws E_USAGE for an unknown role, and what `openContext` throws.
 */
export async function work(names: readonly string[], options: WorkOptions = {}): Promise<number> {
  const available = options.roles ?? roles
  const chosen = chooseRoles(names, available)
  const opened = await openContext(chosen.join('+'), options.env ?? process.env)
  const { context } = opened
  const { log, config } = context
  const registry = options.registry ?? everyKind
  const queueSettings = { url: config.redisUrl, prefix: config.file.operations.redis_prefix }
  const queues = openQueues(queueSettings, registry.queues())
  const heartbeat = config.file.operations.heartbeat_url
  const shared: Process = {
    context,
    registry,
    queues,
    queueSettings,
    heartbeatUrl: heartbeat === undefined ? null : config.secret(heartbeat),
  }
  let fail = (error: unknown): void => log.error({ error: errorFields(error) }, 'failed before the start')
  let health: HealthServer | undefined
  const watched = watchProcess((error) => fail(error))
  try {
    await warnAboutRedis(shared)
    return await runRoles({
      starters: [
        ...chosen.flatMap((name) => available[name]?.(shared) ?? []),
        presence(shared, chosen, options.version ?? 'unknown'),
      ],
      stop: watched.stop,
      deadlineMs: options.deadlineMs ?? 20_000,
      log,
      onFail: (end) => {
        fail = end
      },
      onStarted: async (started) => {
        health = await startHealth({
          ...config.health,
          metrics: context.metrics,
          live: () => started.flatMap((role) => role.problem() ?? []),
          ready: () => missing(shared),
        })
        log.info({ host: config.health.host, port: health.port }, 'health, readiness and metrics are served')
      },
    })
  } finally {
    watched.release()
    await closeWithin(closeMs, [queues.close(), opened.close(), health?.close()])
  }
}

function chooseRoles(names: readonly string[], available: typeof roles): string[] {
  const known = Object.keys(available)
  const unknown = names.filter((name) => name !== 'all' && !known.includes(name))
  if (names.length === 0 || unknown.length > 0)
    throw new LetheError('E_USAGE', {
      message: unknown.length > 0 ? `There is no role ${unknown.join(', ')}.` : 'No role was named.',
      next: `Name one or more of: ${known.join(', ')}, all.`,
    })
  return names.includes('all') ? known : [...new Set(names)]
}

/** A queue server that may throw jobs away is no danger to the record, only to the time until a run goes on. */
async function warnAboutRedis({ context, queueSettings }: Process): Promise<void> {
  try {
    const facts = await inspectRedis(queueSettings)
    if (facts.evictionPolicy !== null && facts.evictionPolicy !== 'noeviction')
      context.log.warn(
        { policy: facts.evictionPolicy },
        'Redis may evict jobs: set maxmemory-policy to noeviction',
      )
  } catch (error) {
    context.log.warn({ error: errorFields(error) }, 'Redis is away; starting all the same')
  }
}

/** Says every few seconds that this process lives, for `lethe doctor`. */
function presence({ context }: Process, names: readonly string[], version: string): StartRole {
  const worker = { id: context.workerId, roles: names, version, configVersion: context.config.version }
  return async () => {
    await beatWorker(context.control, worker)
    const timer = setInterval(() => {
      beatWorker(context.control, worker).catch((error: unknown) => {
        context.log.warn({ error: errorFields(error) }, 'could not say that this process lives')
      })
    }, beatMs)
    return {
      name: 'presence',
      problem: () => null,
      async stop() {
        clearInterval(timer)
        await forgetWorker(context.control, context.workerId)
      },
    }
  }
}

/** What `/readyz` complains about: names and codes only. */
async function missing({ context, queues }: Process): Promise<string[]> {
  const checks: readonly [string, () => Promise<void>][] = [
    ['control database', () => requireSchema(context.control, 'control', 'control')],
    ['Redis', () => queues.ping()],
  ]
  const found = await Promise.all(
    checks.map(async ([name, check]) => {
      try {
        await check()
        return []
      } catch (error) {
        return [`${name}: ${errorFields(error).code}`]
      }
    }),
  )
  return found.flat()
}

async function closeWithin(ms: number, closing: readonly unknown[]): Promise<void> {
  const late = new AbortController()
  await Promise.race([
    Promise.allSettled(closing).finally(() => late.abort()),
    sleep(ms, late.signal).catch(() => undefined),
  ])
}
