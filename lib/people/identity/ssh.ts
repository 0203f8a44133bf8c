/**
 * SSH signatures, made and checked by OpenSSH's own ssh-keygen: agents, passphrases and FIDO keys work as they do
 * everywhere else, and no cryptography is ours.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LetheError } from '../../base/errors/index.ts'
import type { Identity } from './identity.ts'
import type { IdentityEntry } from './schema.ts'
import { isHardwareKey, readSignature } from './sshsig.ts'

const NAMESPACE = 'lethe'
const VERIFY_TIMEOUT_MS = 10_000

/**
 * Signs with the key in `keyFile` (a private key, or the public half of one in the agent). ssh-keygen asks for a
 * passphrase on the terminal; what it says besides ("Confirm user presence…") goes to `tell`. Throws E_SSH_SIGN,
 * E_SSH_KEYGEN.
 */
export async function signWithSsh(
  statement: string,
  keyFile: string,
  tell: (text: string) => void = () => undefined,
): Promise<string> {
  const result = await sshKeygen(['-Y', 'sign', '-n', NAMESPACE, '-f', keyFile], statement, {
    onError: (text) => {
      if (!text.startsWith('Signing data on standard input')) tell(text)
    },
  })
  if (result.code === 0 && result.stdout.includes('BEGIN SSH SIGNATURE')) return result.stdout
  throw new LetheError('E_SSH_SIGN', {
    message: `ssh-keygen did not sign with ${keyFile} (exit code ${result.code}).`,
    facts: { keyFile },
  })
}

/**
 * Whose signature it is. Says nothing about what the statement says or how old it is: see checkStatement. Throws
 * E_IDENTITY_UNKNOWN (the key is nobody's), E_SIGNATURE_INVALID (altered text, another namespace), E_SSH_KEYGEN.
 */
export async function verifySsh(
  statement: string,
  signature: string,
  identities: Readonly<Record<string, IdentityEntry>>,
): Promise<Identity> {
  const facts = readSignature(signature)
  if (facts === null)
    throw new LetheError('E_SIGNATURE_INVALID', { message: 'The signature is not an SSH signature.' })
  const folder = await mkdtemp(join(tmpdir(), 'lethe-identity-'))
  try {
    const signers = join(folder, 'allowed_signers')
    const file = join(folder, 'signature')
    await writeFile(signers, allowedSigners(identities), { mode: 0o600 })
    await writeFile(file, signature, { mode: 0o600 })
    const name = await findPrincipal(file, signers)
    const entry = name === undefined ? undefined : identities[name]
    if (name === undefined || entry === undefined)
      throw new LetheError('E_IDENTITY_UNKNOWN', {
        message: `The ${facts.keyType} key that signed belongs to no identity in the configuration.`,
      })
    const verified = await sshKeygen(
      ['-Y', 'verify', '-f', signers, '-I', name, '-n', NAMESPACE, '-s', file],
      statement,
      { timeoutMs: VERIFY_TIMEOUT_MS },
    )
    if (verified.code !== 0)
      throw new LetheError('E_SIGNATURE_INVALID', {
        message: `The signature of ${name} does not fit the statement: the text was altered, or it was signed for something else.`,
        facts: { identity: name },
      })
    const hardware = isHardwareKey(facts.keyType)
    return {
      name,
      roles: entry.roles,
      method: hardware ? 'ssh-sk' : 'ssh',
      secondFactor: hardware && facts.userPresent,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** False where ssh-keygen isn't there or is too old to sign (before OpenSSH 8.2). */
export async function sshKeygenWorks(): Promise<boolean> {
  try {
    // Without a file to look into it fails; an ssh-keygen that knows no -Y says "unknown option" instead.
    const result = await sshKeygen(['-Y', 'find-principals', '-s', '/dev/null', '-f', '/dev/null'], '', {
      timeoutMs: VERIFY_TIMEOUT_MS,
    })
    return !/unknown option|illegal option|usage:/i.test(result.stderr)
  } catch (error) {
    if (error instanceof LetheError) return false
    throw error
  }
}

/** The comment of a key is left out, and the namespace keeps a signature made for a file or a commit from counting here. */
function allowedSigners(identities: Readonly<Record<string, IdentityEntry>>): string {
  return Object.entries(identities)
    .flatMap(([name, entry]) =>
      entry.ssh_keys.map((key) => {
        const [type = '', blob = ''] = key.trim().split(/\s+/)
        return `${name} namespaces="${NAMESPACE}" ${type} ${blob}\n`
      }),
    )
    .join('')
}

async function findPrincipal(file: string, signers: string): Promise<string | undefined> {
  const found = await sshKeygen(['-Y', 'find-principals', '-s', file, '-f', signers], '', {
    timeoutMs: VERIFY_TIMEOUT_MS,
  })
  const name = found.stdout.trim().split('\n')[0]
  return found.code === 0 && name !== '' ? name : undefined
}

interface Result {
  code: number | null
  stdout: string
  stderr: string
}

async function sshKeygen(
  args: readonly string[],
  input: string,
  options: { timeoutMs?: number; onError?: (text: string) => void } = {},
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn('ssh-keygen', [...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
      options.onError?.(text)
    })
    child.once('error', (error) =>
      reject(
        new LetheError('E_SSH_KEYGEN', {
          message: `ssh-keygen can't be started (${'code' in error ? String(error.code) : error.name}).`,
        }),
      ),
    )
    child.once('close', (code) => resolve({ code, stdout, stderr }))
    // It may end without reading everything; then the pipe breaks, and the exit code says why.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}
