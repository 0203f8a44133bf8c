/** Server processes with their own folder and a watchdog: nothing is left behind, whatever ends the run. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chownSync, closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface User {
  uid: number
  gid: number
}

export interface ServerProcess {
  pid: number
  /** Sends the signal and resolves when the process is gone; what doesn't go in 30 s is killed. */
  end(signal: NodeJS.Signals): Promise<void>
  /** The exit code, null after a signal. */
  readonly gone: Promise<number | null>
}

let watchdog: ChildProcess | undefined

/** What the watchdog ends or removes when this process is gone; see watchdog.ts. */
export function tellWatchdog(
  what: 'pid' | 'forget-pid' | 'dir' | 'container' | 'forget-container',
  value: string | number,
): void {
  if (watchdog === undefined) {
    watchdog = spawn(process.execPath, [new URL('watchdog.ts', import.meta.url).pathname], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    watchdog.unref()
    const { stdin } = watchdog
    if (stdin !== null && 'unref' in stdin && typeof stdin.unref === 'function') stdin.unref()
  }
  watchdog.stdin?.write(`${what} ${value}\n`)
}

/** A new folder under the system's temporary one, removed at the end of the run at the latest. */
export function makeFolder(name: string, owner?: User): string {
  const folder = mkdtempSync(join(tmpdir(), `lethe-${name}-`))
  tellWatchdog('dir', folder)
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid)
  return folder
}

export async function removeFolder(folder: string): Promise<void> {
  // The last process may still be writing: a retry is enough.
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

/** Starts `command` in its own session, so that Ctrl-C doesn't reach it before we do; output to `<folder>/log`. */
export function startProcess(
  command: string,
  args: readonly string[],
  folder: string,
  user?: User,
): ServerProcess {
  const log = openSync(join(folder, 'log'), 'a')
  const child = spawn(command, args, {
    cwd: folder,
    detached: true,
    stdio: ['ignore', log, log],
    ...(user ? { uid: user.uid, gid: user.gid } : {}),
  })
  closeSync(log)
  child.once('error', () => undefined)
  const { pid } = child
  if (pid === undefined) throw new Error(`${command} did not start`)
  tellWatchdog('pid', pid)
  const gone = new Promise<number | null>((resolve) =>
    child.once('exit', (code) => {
      tellWatchdog('forget-pid', pid)
      resolve(code)
    }),
  )
  child.unref()
  return {
    pid,
    gone,
    async end(signal) {
      // Unreferenced while it runs; waiting for its end must keep this process alive.
      child.ref()
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      const impatient = setTimeout(() => child.kill('SIGKILL'), 30_000)
      await gone
      clearTimeout(impatient)
    },
  }
}

/** Runs `command` to its end; throws with its output unless it succeeds. */
export async function runProcess(
  command: string,
  args: readonly string[],
  folder: string,
  user?: User,
): Promise<void> {
  const started = startProcess(command, args, folder, user)
  // Only a timer keeps this process alive meanwhile.
  const alive = setInterval(() => undefined, 1000)
  const code = await started.gone
  clearInterval(alive)
  if (code !== 0) throw new Error(`${command} failed: ${logOf(folder)}`)
}

/** Resolves when `probe` does; throws with the server's log when it has ended or 30 s are over. */
export async function untilReady(
  server: ServerProcess,
  folder: string,
  probe: () => Promise<void>,
): Promise<void> {
  let ended = false
  void server.gone.then(() => (ended = true))
  const deadline = performance.now() + 30_000
  for (;;) {
    try {
      await probe()
      return
    } catch (error) {
      if (ended || performance.now() > deadline)
        throw new Error(`the server did not come up: ${logOf(folder)}`, { cause: error })
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

function logOf(folder: string): string {
  return readFileSync(join(folder, 'log'), 'utf8').slice(-2000)
}

/** A port that was free a moment ago on the loopback address. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        address !== null && typeof address === 'object'
          ? resolve(address.port)
          : reject(new Error('no port')),
      )
    })
  })
}

export async function canConnect(port: number, host = '127.0.0.1'): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(port, host, () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
}

/**
 * The system user `name` when we are root and a server refuses to run as root, `nobody` where there is no such user
 * (a server that Debian didn't install); undefined when we are not root.
 */
export function unprivileged(name: string): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string, user: string) =>
    Number(execFileSync('id', [flag, user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  for (const user of [name, 'nobody'])
    try {
      return { uid: id('-u', user), gid: id('-g', user) }
    } catch {
      // there is no such user
    }
  throw new Error(`there is neither a system user ${name} nor nobody`)
}
