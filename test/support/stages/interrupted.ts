/** A job of a process of its own, to which something happens at one message of its connections. */
import { z } from 'zod'
import type { Database } from '../../../lib/base/db/index.ts'
import { registry } from '../../../jobs/registry.ts'
import { runJob } from '../../../jobs/runner.ts'
import { openContext } from '../../../workers/context.ts'
import { startProxy, type MessageCounter } from '../servers/proxy.ts'

/** At message `at` of the worker (counted over both databases) this happens. */
export interface Incident {
  at: number
  /** kill: every connection is cut and the process is heard of no more. lose: only the target's. stop: as SIGTERM does. */
  act: 'kill' | 'lose' | 'stop' | (() => Promise<void>)
}

let processes = 0

/** Returns when no backend of the worker is left. `env`: what its process is started with. */
export async function runInterrupted(
  env: Readonly<Record<string, string>>,
  control: Database,
  job: { runId: string; generation: number },
  { at, act }: Incident,
): Promise<void> {
  const { LETHE_CONTROL_URL: controlUrl = '', APP_URL: appUrl = '' } = env
  const ended = new AbortController()
  const acted: Promise<void>[] = []
  const counter: MessageCounter = {
    count: 0,
    onMessage(n) {
      if (n !== at) return true
      if (act === 'stop') ended.abort()
      else if (act === 'lose') proxies.app.cut()
      else if (act === 'kill') {
        for (const proxy of Object.values(proxies)) proxy.cut()
        ended.abort()
        return false
      } else acted.push(act())
      return true
    },
  }
  const through = (url: string) =>
    startProxy(new URL(url).hostname, Number(new URL(url).port), { protocol: 'postgres', counter })
  const proxies = { control: await through(controlUrl), app: await through(appUrl) }
  processes += 1
  const name = `model ${processes}`
  try {
    // a process that is killed while it starts has done nothing either
    const worker = await openContext(name, {
      ...env,
      LETHE_CONTROL_URL: proxies.control.rewrite(controlUrl),
      APP_URL: proxies.app.rewrite(appUrl),
    }).catch(() => null)
    if (worker !== null) {
      await runJob(worker.context, registry, job, ended.signal).catch(() => undefined)
      await worker.close().catch(() => undefined)
    }
  } finally {
    await Promise.all(acted)
    await Promise.all(Object.values(proxies).map((proxy) => proxy.close()))
    await untilGone(control, `lethe ${name}`)
  }
}

/** A backend whose client went away may still be committing. */
async function untilGone(db: Database, applicationName: string): Promise<void> {
  for (;;) {
    const rows = await db.query(
      z.object({ pid: z.number() }),
      'SELECT pid FROM pg_stat_activity WHERE application_name = $1',
      [applicationName],
    )
    if (rows.length === 0) return
  }
}
