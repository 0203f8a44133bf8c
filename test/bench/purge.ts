/**
 * The purge against what teams do without Lethe, on the same data: alternated runs, medians. What is asked of
 * them: purge_vs_cascade ≥ 0.8, purge_lock_p99_ms ≤ 500, purge_vs_per_subject ≥ 6, purge_rss_mb ≤ 200, and foreground_p99
 * ≤ 1.5 at a foreground_purge_speed (of the unthrottled sweep's) ≥ 0.1.
 */
import { cascade, foreground, median, percentile, perSubject } from './contenders.ts'
import {
  buildTemplate,
  children,
  cloneTemplate,
  databaseUrl,
  dropDatabase,
  rowsPerSubject,
  withClient,
} from './dataset.ts'
import { build, openBench, stop, sweep } from './lethe.ts'

const dueShare = 0.1
const rounds = 3

export interface Addresses {
  adminUrl: string
  redisUrl: string
}

export async function benchPurge(
  addresses: Addresses,
  rows: number,
  say: (line: string) => void,
): Promise<Record<string, number>> {
  const { adminUrl } = addresses
  const template = 'bench_template'
  await build()
  say(`building ${rows.toLocaleString('en')} rows over ${children.length + 1} tables`)
  const due = await buildTemplate(adminUrl, template, rows, dueShare)
  const figures = {
    lethe: [] as number[],
    cascade: [] as number[],
    perSubject: [] as number[],
    rss: [] as number[],
    lock: [] as number[],
  }
  for (let round = 1; round <= rounds; round++) {
    const lethe = await measureLethe(addresses, template, due)
    figures.lethe.push(lethe.rowsPerSecond)
    figures.rss.push(lethe.rssMb)
    figures.lock.push(...lethe.lockMs)
    figures.cascade.push(await onCopy(adminUrl, template, cascade))
    figures.perSubject.push(await onCopy(adminUrl, template, (url) => perSubject(url, Math.min(due, 5000))))
    say(
      `round ${round}: lethe ${Math.round(lethe.rowsPerSecond)} rows/s, cascade ${Math.round(figures.cascade.at(-1) ?? 0)}, ` +
        `one transaction a subject ${Math.round(figures.perSubject.at(-1) ?? 0)}; batches ${lethe.lockMs.length}, ` +
        `p99 ${Math.round(percentile(lethe.lockMs, 0.99))} ms, read back in ${lethe.verifySeconds.toFixed(1)} s, peak memory ${Math.round(lethe.rssMb)} MB`,
    )
  }
  const unthrottled = median(figures.lethe)
  const shared = await measureForeground(addresses, template, rows, unthrottled, say)
  await dropDatabase(adminUrl, template)
  return {
    purge_vs_cascade: unthrottled / median(figures.cascade),
    purge_lock_p99_ms: percentile(figures.lock, 0.99),
    purge_vs_per_subject: unthrottled / median(figures.perSubject),
    foreground_p99: shared.p99,
    foreground_purge_speed: shared.speed,
    purge_rss_mb: Math.max(...figures.rss),
  }
}

async function measureLethe(addresses: Addresses, template: string, due: number) {
  const targetUrl = await cloneTemplate(addresses.adminUrl, template, 'bench_target')
  const controlUrl = await freshControl(addresses.adminUrl)
  const bench = await openBench({ controlUrl, targetUrl, redisUrl: addresses.redisUrl })
  try {
    const { executeSeconds, verifySeconds, rssMb, batches } = await sweep(bench)
    const removed = batches.reduce((sum, batch) => sum + batch.rows, 0)
    if (removed !== due * rowsPerSubject)
      throw new Error(`removed ${removed} rows, ${due * rowsPerSubject} were due`)
    return {
      rowsPerSecond: removed / executeSeconds,
      verifySeconds,
      rssMb,
      lockMs: batches.map((batch) => batch.lockMs),
    }
  } finally {
    await bench.close()
    await dropDatabase(addresses.adminUrl, 'bench_target')
  }
}

/** p99 of the foreground load while the throttled purge runs, over its p99 alone (medians), and the purge's speed then. */
async function measureForeground(
  addresses: Addresses,
  template: string,
  rows: number,
  unthrottled: number,
  say: (line: string) => void,
): Promise<{ p99: number; speed: number }> {
  const targetUrl = await cloneTemplate(addresses.adminUrl, template, 'bench_target')
  const controlUrl = await freshControl(addresses.adminUrl)
  // a ceiling, so it is set well above the tenth that the sweep must reach
  const bench = await openBench({
    controlUrl,
    targetUrl,
    redisUrl: addresses.redisUrl,
    throttle: { rows_per_second: Math.round(unthrottled * 0.2), target_ms: 40 },
  })
  const load = async (seconds: number) =>
    percentile(
      await foreground(
        targetUrl,
        Math.round(rows / rowsPerSubject),
        Math.round(1 / dueShare),
        200,
        AbortSignal.timeout(seconds * 1000),
      ),
      0.99,
    )
  await load(5)
  await bench.run('retention', 'run', 'due')
  const worker = bench.startWorker()
  try {
    const proposal = await until(controlUrl, `SELECT id FROM lethe_control.proposals WHERE state = 'waiting'`)
    const idle: number[] = []
    const busy: number[] = []
    for (let slice = 0; slice < 3; slice++) idle.push(await load(8))
    await bench.run('retention', 'approve', proposal, '--reason', 'bench', '--override', 'rows,share')
    await until(controlUrl, `SELECT run_id AS id FROM lethe_control.batches LIMIT 1`)
    const before = await removedSoFar(controlUrl)
    const start = performance.now()
    for (let slice = 0; slice < 3; slice++) busy.push(await load(8))
    const speed = ((await removedSoFar(controlUrl)) - before) / ((performance.now() - start) / 1000)
    say(
      `foreground p99: ${idle.map((ms) => ms.toFixed(1)).join(', ')} ms alone; ${busy.map((ms) => ms.toFixed(1)).join(', ')} ms beside a ` +
        `purge of ${Math.round(speed)} rows/s (${(speed / unthrottled).toFixed(2)} of unthrottled)`,
    )
    return { p99: median(busy) / median(idle), speed: speed / unthrottled }
  } finally {
    await stop(worker)
    await bench.close()
    await dropDatabase(addresses.adminUrl, 'bench_target')
  }
}

async function onCopy(
  adminUrl: string,
  template: string,
  use: (url: string) => Promise<number>,
): Promise<number> {
  const url = await cloneTemplate(adminUrl, template, 'bench_target')
  try {
    return await use(url)
  } finally {
    await dropDatabase(adminUrl, 'bench_target')
  }
}

async function freshControl(adminUrl: string): Promise<string> {
  await dropDatabase(adminUrl, 'bench_control')
  await withClient(adminUrl, (admin) => admin.query('CREATE DATABASE bench_control'))
  return databaseUrl(adminUrl, 'bench_control')
}

async function removedSoFar(controlUrl: string): Promise<number> {
  return withClient(controlUrl, async (client) => {
    const found = await client.query<{ rows: string }>(
      `SELECT coalesce(sum(value::bigint), 0) AS rows FROM lethe_control.batches, jsonb_each_text(event -> 'rows')`,
    )
    return Number(found.rows[0]?.rows ?? 0)
  })
}

async function until(url: string, sql: string): Promise<string> {
  return withClient(url, async (client) => {
    for (;;) {
      const found = await client.query<{ id: string }>(sql)
      if (found.rows[0]) return found.rows[0].id
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  })
}
