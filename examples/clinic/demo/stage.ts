/** What the demo's two halves share: the real command line and workers in processes of their own, and words for the reader. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { promisify, styleText } from 'node:util'
import pg from 'pg'
import { monotonicMs, sleep } from '../../../lib/base/clock/index.ts'

const cli = new URL('../../../workers/cli.ts', import.meta.url).pathname
const PATIENCE_MS = 90_000
const children: ChildProcess[] = []

export interface Stage {
  /** A folder that goes with the demo: configuration, keys, receipts. */
  home: string
  env: NodeJS.ProcessEnv
  controlUrl: string
  clinicUrl: string
}

/** Runs a command as somebody would type it; its output is the demo's. `env` may name somebody else's key. */
export async function lethe(env: NodeJS.ProcessEnv, ...args: string[]): Promise<void> {
  const shown = args.map((arg) => (/[^\w./=@:,-]/.test(arg) ? `'${arg}'` : arg)).join(' ')
  say(styleText('bold', `$ lethe ${shown}`))
  const child = spawn(process.execPath, [cli, ...args], { env, stdio: ['ignore', 'inherit', 'inherit'] })
  const code = await ended(child)
  if (code !== 0) throw new Error(`lethe ${args.join(' ')} ended with exit code ${code}`)
}

export async function output(env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, [cli, ...args], { env })).stdout
}

/** A worker that runs until it is told to stop. */
export function work(env: NodeJS.ProcessEnv, role: string): ChildProcess {
  const child = spawn(process.execPath, [cli, 'work', role], { env, stdio: ['ignore', 'inherit', 'inherit'] })
  children.push(child)
  say(`lethe work ${role} runs as process ${child.pid}`)
  return child
}

/** Tells every worker to stop in order, and waits until all have. */
export async function stopWork(): Promise<void> {
  const running = children.filter(isRunning)
  for (const child of running) child.kill('SIGTERM')
  await Promise.all(running.map(ended))
}

export function killWork(): void {
  for (const child of children.filter(isRunning)) child.kill('SIGKILL')
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', resolve))
}

/** The column `id` of the first row, once there is one. */
export async function waitFor(url: string, sql: string): Promise<string> {
  const deadline = monotonicMs() + PATIENCE_MS
  for (;;) {
    const [row] = await query<{ id: string }>(url, sql)
    if (row) return row.id
    if (monotonicMs() > deadline) throw new Error(`nothing after ${PATIENCE_MS / 1000} s: ${sql}`)
    await sleep(200)
  }
}

export async function query<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<T>(sql)).rows
  } finally {
    await client.end()
  }
}

/** A key pair for whoever decides; returns the public key's line. */
export async function makeKey(home: string, name: string): Promise<string> {
  const file = join(home, name)
  await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file])
  return (await promisify(execFile)('ssh-keygen', ['-y', '-f', file])).stdout.trim()
}

export function title(text: string): void {
  process.stdout.write(`\n${styleText(['bold', 'cyan'], `— ${text}`)}\n`)
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
