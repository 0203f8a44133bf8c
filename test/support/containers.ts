/** Which kind of server a run uses, and containers where a Docker engine answers. */
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer } from 'testcontainers'
import { freePort } from './process.ts'

export type Source = 'environment' | 'container' | 'installed'

/** An address in the environment wins; else a container where an engine answers; else an installed (or installable) server. */
export async function chooseSource(variable: string): Promise<Source> {
  if (process.env[variable]) return 'environment'
  const asked = process.env['LETHE_TEST_SERVERS']
  if (asked === 'installed' || asked === 'container') return asked
  return (await engineAnswers()) ? 'container' : 'installed'
}

let answer: Promise<boolean> | undefined

async function engineAnswers(): Promise<boolean> {
  answer ??= Promise.race([
    getContainerRuntimeClient().then(
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
  port(): number
  kill(): Promise<void>
  restart(): Promise<void>
  stop(): Promise<void>
}

export async function startContainer(spec: ContainerSpec): Promise<RunningContainer> {
  // a fixed host port, so that the address outlives a restart
  const port = await freePort()
  const container: StartedTestContainer = await new GenericContainer(spec.image)
    .withExposedPorts({ container: spec.port, host: port })
    .withEnvironment(spec.environment)
    .withCommand(spec.command)
    .start()
  const client = await getContainerRuntimeClient()
  const handle = client.container.getById(container.getId())
  return {
    host: container.getHost(),
    port: () => port,
    kill: async () => {
      await handle.kill()
    },
    restart: async () => {
      await handle.restart({ t: 5 })
    },
    stop: async () => {
      await container.stop({ timeout: 2000 })
    },
  }
}
