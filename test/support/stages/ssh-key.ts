/** A real OpenSSH key pair in a folder that goes with the run. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from '../servers/process.ts'

export interface SshKey {
  /** The private key's file. */
  file: string
  publicKeyLine: string
}

export function createSshKey(type: 'ed25519' | 'ecdsa' | 'rsa' = 'ed25519'): SshKey {
  const file = join(makeFolder('ssh'), 'id')
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', 'someone@laptop', '-f', file])
  return { file, publicKeyLine: readFileSync(`${file}.pub`, 'utf8').trim() }
}
