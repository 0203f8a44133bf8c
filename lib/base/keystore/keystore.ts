/**
 * What Lethe asks of whoever keeps its keys. The embedded keystore is the first; an OpenBao one follows the same shape.
 * Calls that use a key are synchronous on purpose: a batch hashes thousands of subjects, so an implementation fetches
 * its keys when it is opened and never makes a call a subject.
 */
/**
 * What a subject's hash is made of; the version stands beside each hash that is kept. 1: `[database, kind, [...key]]`, with the key
 * as it happened to be written, so that equal values could have several hashes.
 */
export const hashVersions = [1, 2] as const
export type HashVersion = (typeof hashVersions)[number]
/** That new hashes are made of. */
export const HASH_VERSION: HashVersion = 2

export interface Sealed {
  keyId: string
  cipher: Buffer
}

export interface Keystore {
  /** The key that new hashes and seals are made with. */
  readonly currentKeyId: string
  /** Every key that is still kept, oldest first: a replay hashes with each key that made an entry. */
  readonly keyIds: readonly string[]
  /** Whether this key is kept, also where another process has made it since. */
  knows(keyId: string): boolean
  /**
   * HMAC-SHA-256 over the canonical JSON of the version: `[2, database, kind, [...key]]`. The same subject gives the same hash for
   * as long as the key is kept. `database` is the store's name in the map; `key` has the one text that all equal values have
   * (keyText). Throws E_KEYSTORE_KEY_UNKNOWN.
   */
  subjectHash(
    database: string,
    kind: string,
    key: readonly string[],
    keyId?: string,
    version?: HashVersion,
  ): Buffer
  /** AES-256-GCM under the current key; every call uses a fresh nonce. */
  seal(plaintext: string | Buffer): Sealed
  /** Throws E_KEYSTORE_KEY_UNKNOWN, or E_KEYSTORE_CIPHER where the bytes were changed. */
  open(keyId: string, cipher: Buffer): Buffer
  /** A secret (hex) for keyed pseudonyms in one database; the same key and database give the same secret. */
  pseudonymKey(database: string, keyId?: string): string
  /** 32 secret bytes that an Ed25519 key is made of; the same key gives the same bytes. Throws E_KEYSTORE_KEY_UNKNOWN. */
  signingSeed(keyId?: string): Buffer
  /** Adds a key and makes it the current one; old keys stay, since entries live longer than keys. Resolves once durable. */
  rotate(): Promise<string>
}

/**
 * The subject under every key that is kept, oldest key first, and every version of the input: what was written may be older than
 * either. `written`: the key as it is written, which older versions were made of.
 */
export function everySubjectHash(
  keystore: Keystore,
  database: string,
  kind: string,
  key: readonly string[],
  written: readonly string[] = key,
): Buffer[] {
  return keystore.keyIds.flatMap((keyId) => [
    ...writtenHashes(keystore, database, kind, [key, written], keyId),
    keystore.subjectHash(database, kind, key, keyId),
  ])
}

function writtenHashes(
  keystore: Keystore,
  database: string,
  kind: string,
  texts: readonly (readonly string[])[],
  keyId: string,
): Buffer[] {
  const different = new Map(texts.map((key) => [JSON.stringify(key), key]))
  return [...different.values()].map((key) => keystore.subjectHash(database, kind, key, keyId, 1))
}
