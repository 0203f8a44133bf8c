/** `lethe witness`: cosigns the heads of somebody else's evidence log. Needs no database and no configuration. */
import { readFile } from 'node:fs/promises'
import type { SignerKey } from '../../lib/record/evidence/index.ts'
import { usage, type AddCommands, type Session } from './session.ts'

interface WitnessOptions {
  key: string
  name: string
  listen?: string
  log?: string
  logKeys?: string
  state?: string
  printKey?: true
}

export const witnessCommands: AddCommands = (program, session) => {
  program
    .command('witness')
    .description("cosign the heads of another party's evidence log: run it where they can't reach its key")
    .requiredOption('--key <pem>', 'its Ed25519 private key: openssl genpkey -algorithm ed25519')
    .requiredOption('--name <name>', "its key's name; by custom an address without its scheme")
    .option('--listen <host:port>', 'where it answers, plain HTTP; port 0: any free one')
    .option('--log <origin>', 'name of the log')
    .option('--log-keys <file>', "the log's public keys, a line each; keep earlier ones")
    .option('--state <file>', 'the last head it cosigned; never share or lose it')
    .option('--print-key', 'print its verifier key, do nothing else')
    .action((options: WitnessOptions) => witness(session, options))
}

async function witness(session: Session, options: WitnessOptions): Promise<void> {
  const { formatVerifierKey, signerFromPem } = await import('../../lib/record/evidence/index.ts')
  const signer = signerFromPem(options.name, 'cosignature', await read(options.key, '--key'))
  const key = formatVerifierKey(signer)
  if (options.printKey === true) return session.output.data({ key }, key)
  await serve(session, options, signer, key)
}

async function serve(
  session: Session,
  options: WitnessOptions,
  signer: SignerKey,
  key: string,
): Promise<void> {
  const { listen, log: origin, logKeys, state } = options
  if (listen === undefined || origin === undefined || logKeys === undefined || state === undefined)
    throw usage('--listen, --log, --log-keys and --state are needed.')
  const [{ openWitness, readVerifierKeys }, { createLogger }, { serveWitness }, { runRoles, watchProcess }] =
    await Promise.all([
      import('../../lib/record/evidence/index.ts'),
      import('../../lib/base/log/index.ts'),
      import('../witness.ts'),
      import('../lifecycle.ts'),
    ])
  const place = parseListen(listen)
  const keys = readVerifierKeys(await read(logKeys, '--log-keys'))
  if (keys.length === 0) throw usage(`${logKeys} holds no public key.`)
  session.interruptible = false
  const level = session.env['LETHE_LOG_LEVEL']
  const log = createLogger({ name: 'witness', ...(level === undefined ? {} : { level }) })
  const service = await openWitness({ origin, keys, signer, state })
  let fail = (_error: unknown): void => undefined
  const watched = watchProcess((error) => fail(error))
  try {
    session.exitCode = await runRoles({
      stop: watched.stop,
      deadlineMs: 20_000,
      log,
      onFail: (end) => {
        fail = end
      },
      starters: [
        async () => {
          const role = await serveWitness(service, place, log)
          const at = `${place.host}:${role.port}`
          session.output.data(
            { key, listen: at, log: origin, size: service.size },
            `${key}\nWitness of ${origin} on ${at}; ${service.size === 0 ? 'it has cosigned nothing yet' : `it has cosigned ${service.size} entries`}.`,
          )
          return role
        },
      ],
    })
  } finally {
    watched.release()
  }
}

function parseListen(text: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^(.+):(\d{1,5})$/.exec(text) ?? []
  if (host === '' || Number(port) > 65_535) throw usage('--listen is not HOST:PORT.')
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) }
}

async function read(file: string, option: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    throw usage(`The file ${file} (${option}) can't be read.`)
  }
}
