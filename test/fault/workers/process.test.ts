import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { liveWorkers } from '../../../lib/record/ledger/index.ts'
import { openKeystore } from '../../../lib/base/keystore/index.ts'
import type { JobKind } from '../../../jobs/kind.ts'
import { openHouse, type House } from '../../support/servers/processes.ts'
import { startRedis, type RedisServer } from '../../support/servers/servers.ts'
import { freshDatabase } from '../../support/servers/shared.ts'
import { createEffects, effects, stepper } from '../../support/stages/stepper.ts'

const entry = new URL('../../support/stages/work-main.ts', import.meta.url).pathname

let house: House
let redis: RedisServer
let folder: string
const children: ChildProcess[] = []

beforeEach(async () => {
  redis = await startRedis()
  house = await openHouse(await freshDatabase())
  await createEffects(house.control)
  folder = await mkdtemp(join(tmpdir(), 'lethe-process-'))
  await openKeystore(join(folder, 'keystore.json'), { create: true })
  await writeFile(
    join(folder, 'lethe.yaml'),
    'version: 1\nstores: {}\nsubjects: {}\ntables: {}\noperations: { lease_seconds: 5, health_port: 0 }\n',
  )
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await house.close()
  await redis.stop()
  await rm(folder, { recursive: true, force: true })
})

interface Started {
  child: ChildProcess
  exit: Promise<number | null>
  readonly output: () => string
}

function start(deadlineMs: number, ...names: string[]): Started {
  const child = spawn(process.execPath, [entry, `${deadlineMs}`, ...names], {
    env: {
      ...process.env,
      LETHE_CONFIG: join(folder, 'lethe.yaml'),
      LETHE_CONTROL_URL: house.controlUrl,
      LETHE_REDIS_URL: redis.url,
      LETHE_KEYSTORE: join(folder, 'keystore.json'),
      LETHE_LOG_LEVEL: 'info',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (bytes: Buffer) => {
      output += bytes.toString()
    })
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
  return { child, exit, output: () => output }
}

function kind(name: string): JobKind {
  return stepper({ kind: name, steps: 3 })
}

test('all roles share one process; SIGTERM gives the run back without an attempt and ends with 0', async () => {
  const { child, exit, output } = start(10_000, 'all')
  const id = await house.run(kind('test.slow'))
  await expect.poll(async () => effects(house.control), { timeout: 25_000 }).toEqual([`${id}:1`])
  const [worker] = await liveWorkers(house.control, 60)
  expect(worker?.roles).toEqual(['dispatcher', 'test'])

  const { port } = z
    .object({ port: z.number() })
    .parse(JSON.parse(/^.*"port".*$/m.exec(output())?.[0] ?? '{}'))
  for (const path of ['livez', 'readyz', 'metrics'])
    expect((await fetch(`http://127.0.0.1:${port}/${path}`)).status).toBe(200)

  child.kill('SIGTERM')
  expect(await exit).toBe(0)
  expect(await house.look(id)).toMatchObject({ state: 'queued', attempt: 0 })
  expect(await liveWorkers(house.control, 60)).toEqual([])
}, 60_000)

test('a step that does not obey is left behind at the deadline, and the process ends with 1', async () => {
  const { child, exit } = start(500, 'all')
  const id = await house.run(kind('test.deaf'))
  await expect.poll(async () => effects(house.control), { timeout: 25_000 }).toEqual([`${id}:1`])
  child.kill('SIGTERM')
  expect(await exit).toBe(1)
  expect(await house.look(id)).toMatchObject({ state: 'running', attempt: 0 })
}, 60_000)

test('a rejection that nobody caught ends the process in order with 1, without its message', async () => {
  const { exit, output } = start(10_000, 'all')
  await house.run(kind('test.stray'))
  expect(await exit).toBe(1)
  expect(output()).toContain('stopping because of an error')
  expect(output()).not.toContain('canary-stray')
}, 60_000)

test('a schema that is too old is refused at the start with its code', async () => {
  await house.control.execute('DELETE FROM lethe_control.pgmigrations WHERE name LIKE $1', ['003%'])
  const { exit, output } = start(1000, 'test')
  expect(await exit).not.toBe(0)
  expect(output()).toContain('E_SCHEMA_OLD')
}, 30_000)
