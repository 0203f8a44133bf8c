/**
 * Ends what a test run started when the run itself can't: its standard input is a pipe from the run, which closes on a
 * normal end, on Ctrl-C and on kill -9 alike. Lines: `pid N`, `forget-pid N`, `dir PATH`, `container NAME`,
 * `forget-container NAME`. Ends processes by id, then removes containers by name, then folders.
 */
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'

const pids = new Set<number>()
const folders = new Set<string>()
const containers = new Set<string>()
for await (const line of createInterface({ input: process.stdin })) {
  const [what, ...rest] = line.split(' ')
  const value = rest.join(' ')
  if (what === 'pid') pids.add(Number(value))
  if (what === 'forget-pid') pids.delete(Number(value))
  if (what === 'dir') folders.add(value)
  if (what === 'container') containers.add(value)
  if (what === 'forget-container') containers.delete(value)
}
// SIGQUIT is PostgreSQL's immediate stop: it takes its children along. Others get SIGKILL after.
for (const pid of pids) signal(pid, 'SIGQUIT')
for (let i = 0; i < 50 && [...pids].some((pid) => signal(pid, 0)); i++)
  await new Promise((resolve) => setTimeout(resolve, 100))
for (const pid of pids) signal(pid, 'SIGKILL')
await Promise.allSettled([...containers].map(removeContainer))
for (const folder of folders) {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  } catch {
    // The others still go.
  }
}

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}

async function removeContainer(name: string): Promise<void> {
  const { getContainerRuntimeClient } = await import('testcontainers')
  const client = await getContainerRuntimeClient()
  await client.container.getById(name).remove({ force: true, v: true })
}
