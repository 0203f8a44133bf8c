/** The options by which a person proves who they are, and the decision that comes out of them. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { Context } from '../../jobs/context.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import type { Attested, Decided, Evidence } from '../../lib/people/identity/index.ts'
import { usage, type Session } from './session.ts'

export interface EvidenceOptions {
  sshKey?: string
  signature?: string
  statement?: string
  oidcTokenFile?: string
  printStatement?: boolean
}

export function withEvidence(command: Command): Command {
  return command
    .option('--ssh-key <file>', 'sign with this SSH key, or the agent key of this .pub (LETHE_SSH_KEY)')
    .option('--print-statement', 'print what has to be signed, do nothing else')
    .option(
      '--signature <file>',
      'signature made on another machine: ssh-keygen -Y sign -n lethe -f KEY FILE',
    )
    .option(
      '--statement <file>',
      'the statement that was signed or signed in for; default: the signature file without .sig',
    )
    .option(
      '--oidc-token-file <file>',
      'an ID token whose nonce is the hash of the statement (LETHE_OIDC_TOKEN); needs --statement',
    )
}

/**
 * Null where only the statement was asked for: it is printed. Throws E_IDENTITY_MISSING, and what `attest` throws. Roles
 * that depend on a policy are checked by the verb itself; all others here too, before anything else happens.
 */
export async function attested(
  session: Session,
  context: Context,
  decided: Decided,
  options: EvidenceOptions,
): Promise<Attested | null> {
  const { attest, authorise, nonceFor, statementFor } = await import('../../lib/people/identity/index.ts')
  const { databaseNow } = await import('../../lib/base/db/index.ts')
  const { output } = session
  const now = await databaseNow(context.control)
  if (options.printStatement === true) {
    const statement = statementFor({ ...decided, at: now })
    const nonce = nonceFor(statement)
    output.data({ statement, nonce }, statement)
    output.note(
      `Sign exactly these bytes within ten minutes (ssh-keygen -Y sign -n lethe -f KEY FILE), then repeat the command with --signature FILE.sig. Or sign in at your identity provider with nonce=${nonce}, and repeat it with --oidc-token-file TOKEN --statement FILE.`,
    )
    return null
  }
  const by = await attest(
    context.config.file,
    decided,
    await evidence(session, context, options),
    now,
    output.live ? (statement) => output.note(`You agree to:\n${statement}`) : undefined,
  )
  const policyDecides = decided.verb === 'proposal.approve' || decided.verb === 'appraisal.add'
  if (!policyDecides) authorise(context.config.file, by.identity, decided.verb)
  return by
}

async function evidence(session: Session, context: Context, options: EvidenceOptions): Promise<Evidence> {
  const { env, output } = session
  if (options.signature !== undefined) {
    const file = options.statement ?? options.signature.replace(/\.sig$/, '')
    if (file === options.signature) throw usage('--signature needs --statement FILE beside it.')
    return {
      kind: 'ssh-signature',
      statement: await read(file, 'the statement'),
      signature: await read(options.signature, 'the signature'),
    }
  }
  const oidc = async (token: string): Promise<Evidence> => {
    if (options.statement === undefined)
      throw usage('A token proves one statement: --statement FILE, as --print-statement printed it.')
    const statement = await read(options.statement, 'the statement')
    return { kind: 'oidc', token, statement, seal: (text) => context.keystore.seal(text) }
  }
  if (options.oidcTokenFile !== undefined) return oidc(await read(options.oidcTokenFile, 'the token'))
  const tell = (text: string) => output.note(text.trimEnd())
  if (options.sshKey !== undefined) return { kind: 'ssh-key', file: options.sshKey, tell }
  const token = env['LETHE_OIDC_TOKEN']
  const key = env['LETHE_SSH_KEY']
  if (key !== undefined && key !== '') return { kind: 'ssh-key', file: key, tell }
  if (token !== undefined && token !== '') return oidc(token)
  throw new LetheError('E_IDENTITY_MISSING', {
    message:
      'This needs to know who you are: a signature or a token. A login name of this machine is no evidence.',
  })
}

async function read(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    throw usage(`The file ${file} (${what}) can't be read.`)
  }
}
