/** `lethe witness` as a process of its own, as the second party runs it. */
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseVerifierKey, type Witness } from '../../../lib/record/evidence/index.ts'
import { lethe, startLethe, type CliResult } from '../stages/cli.ts'
import { makeFolder } from '../servers/process.ts'

export interface TestWitness {
  /** As a log is configured with it. */
  readonly witness: Witness
  /** The verifier key, as it was printed. */
  readonly key: string
  /** The file of the last head that it cosigned. */
  readonly state: string
  readonly port: number
  /** What it says of itself at its start. */
  readonly said: string
  /** Starts it again, where it was. */
  start(): Promise<void>
  end(signal: NodeJS.Signals): Promise<CliResult>
}

/** `logKeys`: the published keys of the log. `name` is the key's. */
export async function startWitness(
  origin: string,
  logKeys: readonly string[],
  name = 'witness.example/w1',
): Promise<TestWitness> {
  const folder = makeFolder('witness')
  const [pem, keys, state] = [join(folder, 'key.pem'), join(folder, 'log-keys'), join(folder, 'state')]
  const { privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(pem, privateKey.export({ format: 'pem', type: 'pkcs8' }))
  writeFileSync(keys, logKeys.join('\n'))
  const own = ['witness', '--key', pem, '--name', name]
  const key = (await lethe([...own, '--print-key'])).stdout.trim()
  let port = 0
  let said = ''
  let running: ReturnType<typeof startLethe> | null = null
  const made: TestWitness = {
    witness: { url: '', key: parseVerifierKey(key) },
    key,
    state,
    get port() {
      return port
    },
    get said() {
      return said
    },
    async start() {
      const log = ['--log', origin, '--log-keys', keys, '--state', state]
      const begun = startLethe([...own, ...log, '--listen', `127.0.0.1:${port}`])
      running = begun
      said = await new Promise<string>((resolve, reject) => {
        let text = ''
        begun.child.stdout?.on('data', (part: string) => {
          text += part
          if (text.includes('Witness of')) resolve(text)
        })
        void begun.ended.then(({ stderr }) => reject(new Error(`the witness ended: ${stderr}`)))
      })
      port = Number(/ on 127\.0\.0\.1:(\d+)/.exec(said)?.[1])
      made.witness.url = `http://127.0.0.1:${port}`
    },
    async end(signal) {
      if (running === null) throw new Error('the witness does not run')
      running.child.kill(signal)
      return running.ended
    },
  }
  await made.start()
  return made
}
