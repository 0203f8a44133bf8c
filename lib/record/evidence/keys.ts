/** The log's keys: one signs, those before it are still trusted for what they signed. */
import type { Keystore } from '../../base/keystore/index.ts'
import type { Trust } from './heads.ts'
import {
  asCosigner,
  formatVerifierKey,
  signerFromPem,
  signerFromSeed,
  verifierOf,
  type SignerKey,
  type VerifierKey,
} from './note.ts'

export interface LogKeys {
  /** Name of the log, and of its keys. */
  origin: string
  signer: SignerKey
  /** Earlier signers, whose checkpoints still count. */
  earlier: readonly VerifierKey[]
}

/** From a PEM file, or else from the keystore, a key for each of its keys. Throws E_EVIDENCE_KEY. */
export function logKeys(origin: string, keystore: Keystore, pem: string | null): LogKeys {
  if (pem !== null) return { origin, signer: signerFromPem(origin, 'note', pem), earlier: [] }
  const from = (keyId: string) => signerFromSeed(origin, 'note', keystore.signingSeed(keyId))
  return {
    origin,
    signer: from(keystore.currentKeyId),
    earlier: keystore.keyIds
      .filter((keyId) => keyId !== keystore.currentKeyId)
      .flatMap((keyId) => both(from(keyId))),
  }
}

/** What a verifier has to trust. */
export function verifierKeys({ signer, earlier }: LogKeys): readonly VerifierKey[] {
  return [...both(signer), ...earlier]
}

/** What the log itself believes: its own name and keys. */
export function trustOf(keys: LogKeys): Trust {
  return { origin: keys.origin, keys: verifierKeys(keys) }
}

/** A line each, to be published where neither the application nor the database's administrator can change it. */
export function publishedKeys(keys: LogKeys): string[] {
  return verifierKeys(keys).map(formatVerifierKey)
}

function both(signer: SignerKey): VerifierKey[] {
  return [verifierOf(signer), verifierOf(asCosigner(signer))]
}
