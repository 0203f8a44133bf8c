/** A control database and a Redis with processes of Lethe on them, as `lethe work` builds them, but inside the test. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newId } from '../../../lib/base/clock/index.ts'
import { loadConfig } from '../../../lib/config/index.ts'
import { migrate, openDatabase, type Database } from '../../../lib/base/db/index.ts'
import { createRun, getRun, type Run } from '../../../lib/record/ledger/index.ts'
import { createLogger } from '../../../lib/base/log/index.ts'
import { createMetrics } from '../../../lib/base/metrics/index.ts'
import { openQueues, type QueueSettings, type RedisTimeouts } from '../../../lib/base/queue/index.ts'
import { createRegistry, type JobKind } from '../../../jobs/kind.ts'
import type { Role } from '../../../workers/role.ts'
import type { Process } from '../../../workers/process.ts'
import type { TestDatabase } from './postgres.ts'

export interface ProcessOptions {
  redisUrl: string
  timeouts?: RedisTimeouts
  heartbeatUrl?: string
}

export interface House {
  readonly control: Database
  readonly controlUrl: string
  /** Lines that the processes logged. */
  readonly logged: string[]
  /** A process with its own connections and worker id; closed with the house. */
  process(kinds: readonly JobKind[], options: ProcessOptions): Process
  /** Stopped with the house, unless it was before. */
  role(role: Role): Role
  run(kind: JobKind, payload?: Record<string, unknown>): Promise<string>
  look(id: string): Promise<Run>
  close(): Promise<void>
}

const configuration = `version: 1
stores: {}
subjects: {}
tables: {}
operations: { lease_seconds: 5, give_back_seconds: 60, health_port: 0 }
`

/** On an empty database; dropped when the house closes. */
export async function openHouse(database: TestDatabase, logLevel = 'info'): Promise<House> {
  await migrate(database.url, 'control')
  const folder = await mkdtemp(join(tmpdir(), 'lethe-house-'))
  const path = join(folder, 'lethe.yaml')
  await writeFile(path, configuration)
  const config = loadConfig(path, {})
  const control = openDatabase(database.url, { name: 'control', applicationName: 'lethe test' })
  const logged: string[] = []
  const log = createLogger({
    name: 'test',
    level: logLevel,
    destination: { write: (line) => logged.push(line) },
  })
  const closers: (() => Promise<unknown>)[] = []
  const stopped = new Set<Role>()

  return {
    control,
    controlUrl: database.url,
    logged,
    process(kinds, options) {
      const registry = createRegistry(kinds)
      const queueSettings: QueueSettings = {
        url: options.redisUrl,
        prefix: '{test}',
        ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
      }
      const queues = openQueues(queueSettings, registry.queues())
      const own = openDatabase(database.url, { name: 'control', applicationName: 'lethe test worker' })
      closers.push(
        () => queues.close(),
        () => own.close(),
      )
      const unused = (what: string): never => {
        throw new Error(`these kinds use no ${what}`)
      }
      return {
        context: {
          config,
          workerId: `test-${newId()}`,
          control: own,
          stores: {},
          target: () => unused('target'),
          get keystore(): never {
            return unused('keystore')
          },
          get notifier(): never {
            return unused('notifier')
          },
          metrics: createMetrics(),
          log,
        },
        registry,
        queues,
        queueSettings,
        heartbeatUrl: options.heartbeatUrl ?? null,
      }
    },
    role(role) {
      const once: Role = {
        ...role,
        async stop() {
          if (stopped.has(once)) return
          stopped.add(once)
          await role.stop()
        },
      }
      closers.unshift(() => once.stop())
      return once
    },
    async run(kind, payload = {}) {
      const made = await createRun(control, {
        kind: kind.kind,
        queue: kind.queue,
        scope: newId(),
        payload,
        maxAttempts: kind.maxAttempts,
        createdBy: 'test',
      })
      return 'existing' in made ? made.existing.id : made.id
    },
    look: (id) => getRun(control, id),
    async close() {
      for (const close of closers) await close()
      await control.close()
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
