/** Which kind of server a run uses, and containers where a Docker engine answers. */
import { randomBytes } from 'node:crypto'
import { freePort, tellWatchdog } from './process.ts'

export type Source = 'environment' | 'container' | 'installed'

export interface Ways<T> {
  /** Name of the variable that may hold an address. */
  variable: string
  /** True: the test stops, restarts or empties the server, so one that belongs to somebody else won't do. */
  own: boolean
  environment(url: string): Promise<T>
  /** Left out where no image serves: an engine is then not asked. */
  container?: () => Promise<T>
  installed(): Promise<T>
}

/** An address in the environment wins; else a container where an engine answers; else an installed (or installable) server. */
export async function startFirst<T>(ways: Ways<T>): Promise<T> {
  const url = process.env[ways.variable]
  if (url && !ways.own) return ways.environment(url)
  if (ways.container === undefined) return ways.installed()
  const asked = process.env['LETHE_TEST_SERVERS']
  if (asked === 'installed') return ways.installed()
  if (asked === 'container') return ways.container()
  if (asked) throw new Error(`LETHE_TEST_SERVERS is ${asked}: say installed or container`)
  if (!(await engineAnswers())) return ways.installed()
  try {
    return await ways.container()
  } catch (error) {
    // An engine without a registry, say. Others in this process needn't try again.
    answer = Promise.resolve(false)
    const why = error instanceof Error ? error.message : String(error)
    process.stderr.write(
      `a Docker engine answers but gives no container (${why}): trying installed servers\n`,
    )
    return ways.installed()
  }
}

let answer: Promise<boolean> | undefined

async function engineAnswers(): Promise<boolean> {
  answer ??= Promise.race([
    // Loaded only where it is needed: it takes most of a second.
    import('testcontainers')
      .then(({ getContainerRuntimeClient }) => getContainerRuntimeClient())
      .then(
        () => true,
        () => false,
      ),
    new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 5000).unref()),
  ])
  return answer
}

export interface ContainerSpec {
  image: string
  port: number
  environment: Record<string, string>
  command: string[]
}

export interface RunningContainer {
  host: string
  /** The same before and after a restart. */
  port: number
  /** Sends the signal and resolves when the container has stopped. Nothing happens when it already has. */
  end(signal: NodeJS.Signals): Promise<void>
  /** After `end`. */
  start(): Promise<void>
  /** Removes it with its volumes. */
  remove(): Promise<void>
}

export async function startContainer(spec: ContainerSpec): Promise<RunningContainer> {
  const { GenericContainer, getContainerRuntimeClient } = await import('testcontainers')
  // Our watchdog removes what is left, without another image to pull.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] ??= 'true'
  const name = `lethe-test-${randomBytes(6).toString('hex')}`
  tellWatchdog('container', name)
  // A fixed host port, so that the address outlives a restart.
  const port = await freePort()
  const container = await new GenericContainer(spec.image)
    .withName(name)
    .withExposedPorts({ container: spec.port, host: port })
    .withEnvironment(spec.environment)
    .withCommand(spec.command)
    .start()
  const client = await getContainerRuntimeClient()
  const handle = client.container.getById(container.getId())
  const running = async () => (await handle.inspect()).State.Running
  return {
    host: container.getHost(),
    port,
    async end(signal) {
      if (!(await running())) return
      await handle.kill({ signal })
      await handle.wait()
    },
    async start() {
      await handle.start()
    },
    async remove() {
      await handle.remove({ force: true, v: true })
      tellWatchdog('forget-container', name)
    },
  }
}
