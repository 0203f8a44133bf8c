/** Server processes with their own folder and a watchdog: nothing is left behind, whatever ends the run. */
import { spawn, type ChildProcess } from 'node:child_process'
import { execFileSync } from 'node:child_process'
import { chownSync, createWriteStream, mkdtempSync, readFileSync } from 'node:fs'
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
  /** Sends the signal and resolves when the process is gone. */
  end(signal: NodeJS.Signals): Promise<void>
  readonly gone: Promise<void>
}

let watchdog: ChildProcess | undefined

function tell(line: string): void {
  if (watchdog === undefined) {
    watchdog = spawn(process.execPath, [new URL('watchdog.ts', import.meta.url).pathname], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    watchdog.unref()
    const { stdin } = watchdog
    if (stdin !== null && 'unref' in stdin && typeof stdin.unref === 'function') stdin.unref()
  }
  watchdog.stdin?.write(`${line}\n`)
}

/** A new folder under the system's temporary one, removed at the end of the run at the latest. */
export function makeFolder(name: string, owner?: User): string {
  const folder = mkdtempSync(join(tmpdir(), `lethe-${name}-`))
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid)
  tell(`dir ${folder}`)
  return folder
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
}

/** Starts `command` in its own session, output to `<folder>/log`. */
export function startProcess(
  command: string,
  args: readonly string[],
  folder: string,
  user?: User,
): ServerProcess {
  const log = createWriteStream(join(folder, 'log'), { flags: 'a' })
  const child = spawn(command, args, {
    cwd: folder,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(user ? { uid: user.uid, gid: user.gid } : {}),
  })
  child.stdout.pipe(log, { end: false })
  child.stderr.pipe(log, { end: false })
  const { pid } = child
  if (pid === undefined) throw new Error(`${command} did not start`)
  tell(`pid ${pid}`)
  const gone = new Promise<void>((resolve) =>
    child.once('exit', () => {
      tell(`forget ${pid}`)
      log.end()
      resolve()
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
      await gone
    },
  }
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
        throw new Error(
          `the server did not come up: ${readFileSync(join(folder, 'log'), 'utf8').slice(-2000)}`,
          { cause: error },
        )
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

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

/** The system user `name` when we are root and a server refuses to run as root; undefined otherwise. */
export function unprivileged(name: string): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}
