/** Builds what a process works with, from the configuration and the environment, and takes it down again. */
import { hostname } from 'node:os'
import { newId } from '../lib/base/clock/index.ts'
import { loadConfig, type Environment } from '../lib/config/index.ts'
import { checkClockSkew, openDatabase, requireSchema, type Database } from '../lib/base/db/index.ts'
import { createLogger } from '../lib/base/log/index.ts'
import { createMetrics } from '../lib/base/metrics/index.ts'
import { createNotifier } from '../lib/people/notify/index.ts'
import { openKeystore } from '../lib/base/keystore/index.ts'
import { postgresStore } from '../lib/data/datamap/index.ts'
import type { StoreEntry } from '../lib/data/erasers/index.ts'
import type { Context } from '../jobs/context.ts'

export interface OpenContext {
  readonly context: Context
  close(): Promise<void>
}

/** Where stores of the map stand instead: restored copies, which the map and its version know nothing of. */
export interface Elsewhere {
  /** Addresses of PostgreSQL stores, by name. */
  addresses?: Readonly<Record<string, string>>
  /** Entries of other stores, by name. */
  stores?: Readonly<Record<string, StoreEntry>>
}

/**
 * Connects to the control database and requires its schema; a store's database is opened at its first use. Throws
 * E_CONFIG, E_CONFIG_MISSING, E_KEYSTORE_*, E_SCHEMA_OLD, E_SCHEMA_NEW, E_DATABASE_UNAVAILABLE. `name` is for the log
 * and for pg_stat_activity.
 */
export async function openContext(
  name: string,
  env: Environment,
  elsewhere: Elsewhere = {},
): Promise<OpenContext> {
  const config = loadConfig(env['LETHE_CONFIG'] ?? 'lethe.yaml', env)
  const level = env['LETHE_LOG_LEVEL']
  const log = createLogger({ name, ...(level === undefined ? {} : { level }) })
  const keystore = await openKeystore(config.keystorePath)
  const applicationName = `lethe ${name}`
  const control = openDatabase(config.controlUrl, { name: 'control', applicationName, max: 8 })
  const targets = new Map<string, Promise<Database>>()

  async function openTarget(store: string): Promise<Database> {
    const url = elsewhere.addresses?.[store] ?? config.storeUrl(store)
    const target = openDatabase(url, {
      name: store,
      applicationName,
      timeZone: postgresStore(config.file, store)?.time_zone,
    })
    try {
      await requireSchema(target, 'target', store)
      await checkClockSkew(control, target, store)
      return target
    } catch (error) {
      await target.close()
      throw error
    }
  }

  async function close(): Promise<void> {
    const open = await Promise.allSettled(targets.values())
    for (const target of open) if (target.status === 'fulfilled') await target.value.close()
    await control.close()
  }

  try {
    await requireSchema(control, 'control', 'control')
  } catch (error) {
    await close()
    throw error
  }
  const context: Context = {
    config,
    workerId: `${hostname()}-${process.pid}-${newId().slice(0, 8)}`,
    control,
    stores: { ...config.file.stores, ...elsewhere.stores },
    target(store) {
      const opened = targets.get(store)
      if (opened !== undefined) return opened
      const opening = openTarget(store)
      targets.set(store, opening)
      // A store that could not be opened is tried again at the next call.
      opening.catch(() => targets.delete(store))
      return opening
    },
    keystore,
    notifier: createNotifier(config.file.notifications, (reference) => config.secret(reference), log),
    metrics: createMetrics({ processMetrics: true }),
    log,
  }
  return { context, close }
}
