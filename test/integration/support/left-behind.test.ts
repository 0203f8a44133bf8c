/** What is left of a run that was ended from outside: nothing. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { z } from 'zod'

const report = z.object({ pids: z.array(z.number()), folders: z.array(z.string()) })

/** Starts a process that starts servers of its own, and waits until they run. */
async function startServersElsewhere() {
  const child = spawn(
    process.execPath,
    [new URL('../../support/servers/idle-servers.ts', import.meta.url).pathname],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, LETHE_TEST_SERVERS: 'installed' },
    },
  )
  const exit = once(child, 'exit')
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return { child, exit, ...report.parse(JSON.parse(String(line))) }
}

test.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)(
  'a process ended by %s leaves no server, no backend and no folder behind',
  async (signal) => {
    const { child, exit, pids, folders } = await startServersElsewhere()
    expect(pids.length).toBeGreaterThanOrEqual(4)
    expect(pids.every(runs)).toBe(true)
    expect(folders.every((folder) => existsSync(folder))).toBe(true)
    child.kill(signal)
    await exit
    await expect.poll(() => pids.filter(runs), { timeout: 15_000 }).toEqual([])
    await expect.poll(() => folders.filter((folder) => existsSync(folder)), { timeout: 15_000 }).toEqual([])
  },
)

test('a process that ends by an error nobody caught leaves nothing behind either', async () => {
  const { child, exit, pids, folders } = await startServersElsewhere()
  child.kill('SIGUSR2')
  expect(await exit).toEqual([1, null])
  await expect.poll(() => pids.filter(runs), { timeout: 15_000 }).toEqual([])
  await expect.poll(() => folders.filter((folder) => existsSync(folder)), { timeout: 15_000 }).toEqual([])
})

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
