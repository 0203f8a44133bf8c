/**
 * Ends what a test run started when the run itself can't: its standard input is a pipe from the run, which closes on a
 * normal end, on Ctrl-C and on kill -9 alike. Lines: `pid N`, `forget N`, `dir PATH`. Ends processes by id, then folders.
 */
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'

const pids = new Set<number>()
const folders = new Set<string>()
for await (const line of createInterface({ input: process.stdin })) {
  const [what, ...rest] = line.split(' ')
  const value = rest.join(' ')
  if (what === 'pid') pids.add(Number(value))
  if (what === 'forget') pids.delete(Number(value))
  if (what === 'dir') folders.add(value)
}
// SIGQUIT is PostgreSQL's immediate stop: it takes its children along. Others get SIGKILL after.
for (const pid of pids) signal(pid, 'SIGQUIT')
for (let i = 0; i < 50 && [...pids].some((pid) => signal(pid, 0)); i++)
  await new Promise((resolve) => setTimeout(resolve, 100))
for (const pid of pids) signal(pid, 'SIGKILL')
for (const folder of folders) rmSync(folder, { recursive: true, force: true })

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}
