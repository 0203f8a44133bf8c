import { afterEach, expect, test } from 'vitest'
import { createMetrics } from '../../../lib/base/metrics/index.ts'
import { startHealth, type HealthServer } from '../../../workers/health.ts'

let server: HealthServer | undefined
afterEach(() => server?.close())

async function start(live: string[] = [], ready: string[] = []): Promise<string> {
  const metrics = createMetrics()
  metrics.proposalsWaiting.set(2)
  server = await startHealth({
    host: '127.0.0.1',
    port: 0,
    metrics,
    live: () => live,
    ready: () => Promise.resolve(ready),
  })
  return `http://127.0.0.1:${server.port}`
}

test('a sound process is alive and ready', async () => {
  const base = await start()
  for (const path of ['/livez', '/readyz']) {
    const response = await fetch(base + path)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ ok: true, problems: [] })
  }
})

test('a loop that no longer turns fails /livez and a missing dependency fails /readyz only', async () => {
  const base = await start([], ['control database: E_DATABASE_UNAVAILABLE'])
  expect((await fetch(`${base}/livez`)).status).toBe(200)
  const ready = await fetch(`${base}/readyz`)
  expect(ready.status).toBe(503)
  expect(await ready.json()).toEqual({ ok: false, problems: ['control database: E_DATABASE_UNAVAILABLE'] })
  await server?.close()
  const stuck = await start(['The dispatcher has not ended a round for 400 s.'])
  expect((await fetch(`${stuck}/livez`)).status).toBe(503)
})

test('/metrics speaks the Prometheus text format', async () => {
  const response = await fetch(`${await start()}/metrics`)
  expect(response.headers.get('content-type')).toContain('text/plain')
  expect(await response.text()).toContain('lethe_proposals_waiting 2')
})

test('answers nothing else', async () => {
  const base = await start()
  expect((await fetch(`${base}/`)).status).toBe(404)
  expect((await fetch(`${base}/livez`, { method: 'POST' })).status).toBe(405)
})

test('a port that is taken is refused with what to set', async () => {
  await start()
  const taken = startHealth({ ...closed, port: server?.port ?? 0 })
  await expect(taken).rejects.toMatchObject({
    code: 'E_CONFIG',
    message: expect.stringMatching(`127.0.0.1:${server?.port}.*LETHE_HEALTH_PORT`),
    next: expect.stringContaining('LETHE_HEALTH_PORT'),
  })
})

test('an address that is not of this machine is refused with what to set', async () => {
  await expect(startHealth({ ...closed, host: '192.0.2.1' })).rejects.toMatchObject({
    code: 'E_CONFIG',
    next: expect.stringContaining('LETHE_HEALTH_HOST'),
  })
})

test('only the address it was given answers', async () => {
  server = await startHealth({ ...closed, host: '127.0.0.2' })
  const { port } = server
  expect((await fetch(`http://127.0.0.2:${port}/livez`)).status).toBe(200)
  await expect(fetch(`http://127.0.0.1:${port}/livez`)).rejects.toThrow('fetch failed')
})

const closed = {
  host: '127.0.0.1',
  port: 0,
  metrics: createMetrics(),
  live: () => [],
  ready: () => Promise.resolve([]),
}
