/**
 * The embedded keystore: one JSON file, mode 0600. Losing it makes the erasure ledger unreadable, so it is never
 * overwritten in place: a new version is written beside it, synced, then moved over it.
 */
import { constants, readFileSync, statSync } from 'node:fs'
import { link, mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { newId, randomSecret, wallClock } from '../clock/index.ts'
import { LetheError } from '../errors/index.ts'
import { decrypt, derive, encrypt, hmac } from './crypto.ts'
import { HASH_VERSION, type HashVersion, type Keystore, type Sealed } from './keystore.ts'

const SECRET_BYTES = 32

const fileSchema = z
  .strictObject({
    version: z.literal(1),
    current: z.string(),
    keys: z
      .array(
        z.strictObject({
          id: z.string().min(1),
          created_at: z.string(),
          secret: z.base64().refine((text) => Buffer.from(text, 'base64').length === SECRET_BYTES),
        }),
      )
      .min(1),
  })
  .refine((file) => file.keys.some((key) => key.id === file.current))

type KeystoreFile = z.infer<typeof fileSchema>

/**
 * Opens the keystore at `path`. With `create`, a missing one is made (two processes at once end with the same one) and an
 * existing one is kept. Throws E_KEYSTORE_MISSING, E_KEYSTORE_MODE (others could read it), E_KEYSTORE_INVALID.
 */
export async function openKeystore(path: string, options: { create?: boolean } = {}): Promise<Keystore> {
  if (options.create === true) await createFile(path)
  return new EmbeddedKeystore(path, readFile(path))
}

class EmbeddedKeystore implements Keystore {
  readonly #path: string
  #file: KeystoreFile
  readonly #derived = new Map<string, Buffer>()

  constructor(path: string, file: KeystoreFile) {
    this.#path = path
    this.#file = file
  }

  get currentKeyId(): string {
    return this.#file.current
  }

  get keyIds(): readonly string[] {
    return this.#file.keys.map((key) => key.id)
  }

  knows(keyId: string): boolean {
    // Another process may have rotated since this one read the file.
    if (!this.keyIds.includes(keyId)) this.#file = readFile(this.#path)
    return this.keyIds.includes(keyId)
  }

  subjectHash(
    database: string,
    kind: string,
    key: readonly string[],
    keyId = this.currentKeyId,
    version: HashVersion = HASH_VERSION,
  ): Buffer {
    const input = version === 1 ? [database, kind, key] : [version, database, kind, key]
    return hmac(this.#key(keyId, 'subject-hash'), JSON.stringify(input))
  }

  seal(plaintext: string | Buffer): Sealed {
    const keyId = this.currentKeyId
    return { keyId, cipher: encrypt(this.#key(keyId, 'seal'), keyId, Buffer.from(plaintext)) }
  }

  open(keyId: string, cipher: Buffer): Buffer {
    return decrypt(this.#key(keyId, 'seal'), keyId, cipher)
  }

  pseudonymKey(database: string, keyId = this.currentKeyId): string {
    return hmac(this.#key(keyId, 'pseudonym'), JSON.stringify([database])).toString('hex')
  }

  signingSeed(keyId = this.currentKeyId): Buffer {
    return this.#key(keyId, 'evidence-signing')
  }

  async rotate(): Promise<string> {
    this.#file = await addKey(this.#path)
    return this.#file.current
  }

  /** One secret has several uses; each gets a key of its own, so that none can stand for another. */
  #key(id: string, use: string): Buffer {
    const name = `${id}/${use}`
    const known = this.#derived.get(name)
    if (known !== undefined) return known
    const made = derive(this.#secret(id), use)
    this.#derived.set(name, made)
    return made
  }

  #secret(id: string): Buffer {
    this.knows(id)
    const key = this.#file.keys.find((entry) => entry.id === id)
    if (key !== undefined) return Buffer.from(key.secret, 'base64')
    throw new LetheError('E_KEYSTORE_KEY_UNKNOWN', {
      message: `The keystore at ${this.#path} has no key ${id}.`,
      facts: { keyId: id },
    })
  }
}

function readFile(path: string): KeystoreFile {
  let mode: number
  let text: string
  try {
    mode = statSync(path).mode
    if ((mode & 0o077) !== 0)
      throw new LetheError('E_KEYSTORE_MODE', {
        message: `The keystore at ${path} can be read or changed by others (mode ${(mode & 0o777).toString(8)}).`,
      })
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof LetheError) throw error
    throw new LetheError('E_KEYSTORE_MISSING', {
      message: `The keystore at ${path} can't be read (${errorCode(error)}).`,
    })
  }
  const parsed = fileSchema.safeParse(parseJson(text))
  if (parsed.success) return parsed.data
  // The parser's own words may quote the file, which is made of secrets: none of them passes.
  throw new LetheError('E_KEYSTORE_INVALID', { message: `The file at ${path} is not a keystore.` })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Written whole beside its place, then linked into it: a link fails where a file stands, so the first creator wins. */
async function createFile(path: string): Promise<void> {
  const temporary = `${path}.${newId()}`
  const key = newKey()
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await writeAndClose(await openNew(temporary), { version: 1, current: key.id, keys: [key] })
    await link(temporary, path)
    await syncFolder(path)
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return
    throw new LetheError('E_KEYSTORE_MISSING', {
      message: `The keystore at ${path} can't be made (${errorCode(error)}).`,
    })
  } finally {
    await rm(temporary, { force: true })
  }
}

/** The file of the next version is also the lock: two rotations at once would each lose the other's key. */
async function addKey(path: string): Promise<KeystoreFile> {
  const next = `${path}.next`
  const handle = await openNew(next).catch((error: unknown) => {
    throw new LetheError('E_KEYSTORE_BUSY', {
      message: `${next} can't be made (${errorCode(error)}): a rotation runs or was interrupted.`,
    })
  })
  try {
    const file = readFile(path)
    const key = newKey()
    const changed: KeystoreFile = { ...file, current: key.id, keys: [...file.keys, key] }
    await writeAndClose(handle, changed)
    await rename(next, path)
    await syncFolder(path)
    return changed
  } catch (error) {
    await handle.close().catch(() => undefined)
    await rm(next, { force: true })
    throw error
  }
}

function newKey(): KeystoreFile['keys'][number] {
  return {
    id: newId(),
    created_at: wallClock().toISOString(),
    secret: randomSecret(SECRET_BYTES).toString('base64'),
  }
}

function openNew(path: string): Promise<FileHandle> {
  return open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
}

async function writeAndClose(file: FileHandle, content: KeystoreFile): Promise<void> {
  try {
    await file.writeFile(`${JSON.stringify(content, null, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), constants.O_RDONLY)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'
}
