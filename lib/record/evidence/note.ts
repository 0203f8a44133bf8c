/**
 * C2SP signed notes with Ed25519 keys: a text and lines of signatures under it. A key is named; its id is the first four
 * bytes of a hash over name, type and public key. Type 1 signs the text; type 4 is a cosignature, which signs the time too.
 */
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import { LetheError } from '../../base/errors/index.ts'

export type KeyType = 'note' | 'cosignature'

const typeByte: Readonly<Record<KeyType, number>> = { note: 1, cosignature: 4 }
const KEY = 32
const SIGNATURE = 64
/** The last second of the year 9999: what states a later time has no clock. */
const LATEST = 253_402_300_799
/** What stands before a raw Ed25519 public key in SPKI, and before a raw seed in PKCS #8 (RFC 8410). */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
/** A name is one word without `+`; `—` begins a signature line. */
const NAME = /^[^\s+\u2014]{1,255}$/u

export interface VerifierKey {
  name: string
  type: KeyType
  /** Eight hexadecimal digits. */
  id: string
  key: KeyObject
}

export interface SignerKey extends VerifierKey {
  secret: KeyObject
}

export interface NoteSignature {
  name: string
  id: string
  signature: Buffer
}

export interface SignedNote {
  /** With its last newline, as it is signed. */
  text: string
  signatures: NoteSignature[]
}

/** `name+id+base64(type ‖ public key)`, as the specification writes it. Throws E_EVIDENCE_KEY. */
export function parseVerifierKey(text: string): VerifierKey {
  const [name = '', id = '', ...rest] = text.trim().split('+')
  const bytes = Buffer.from(rest.join('+'), 'base64')
  const type = keyType(bytes[0])
  if (type === null || bytes.length !== 1 + KEY || !NAME.test(name))
    throw badKey('It is not a verifier key of an Ed25519 key: NAME+ID+BASE64, type 1 or 4, 32 bytes.')
  const made = verifierKey(name, type, bytes.subarray(1))
  if (made.id !== id) throw badKey(`Its id ${id} doesn't belong to this name and key (${made.id} does).`)
  return made
}

/** Of a file of published keys, a line each; empty lines and those that begin with `#` are passed over. Throws E_EVIDENCE_KEY. */
export function readVerifierKeys(file: string): VerifierKey[] {
  return file
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map(parseVerifierKey)
}

export function formatVerifierKey({ name, id, type, key }: VerifierKey): string {
  return `${name}+${id}+${Buffer.concat([Buffer.of(typeByte[type]), rawKey(key)]).toString('base64')}`
}

/** From a 32-byte seed. */
export function signerFromSeed(name: string, type: KeyType, seed: Buffer): SignerKey {
  const secret = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
  return signerKey(name, type, secret)
}

/** From a PEM file (`openssl genpkey -algorithm ed25519`). Throws E_EVIDENCE_KEY where it is another kind of key. */
export function signerFromPem(name: string, type: KeyType, pem: string): SignerKey {
  let secret: KeyObject
  try {
    secret = createPrivateKey(pem)
  } catch {
    throw badKey('The file is not a private key in PEM.')
  }
  if (secret.asymmetricKeyType !== 'ed25519')
    throw badKey(`The key is ${secret.asymmetricKeyType ?? 'of an unknown kind'}, not Ed25519.`)
  return signerKey(name, type, secret)
}

/** The same key for another use; its id differs. */
export function asCosigner(signer: SignerKey): SignerKey {
  return signerKey(signer.name, 'cosignature', signer.secret)
}

export function verifierOf({ name, type, id, key }: SignerKey): VerifierKey {
  return { name, type, id, key }
}

/** `at` (whole seconds are kept) is signed by a cosigner only. */
export function signNote(text: string, signer: SignerKey, at: Date): NoteSignature {
  const { name, id, type, secret } = signer
  if (type === 'note') return { name, id, signature: sign(null, Buffer.from(text), secret) }
  const seconds = Math.floor(at.getTime() / 1000)
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(BigInt(seconds))
  return { name, id, signature: Buffer.concat([time, sign(null, cosigned(text, seconds), secret)]) }
}

/** The time (s since 1970) that a cosignature states; null for a plain signature. Null result: no such signature, or a wrong one. */
export function verifyNote(note: SignedNote, key: VerifierKey): { time: number | null } | null {
  for (const { name, id, signature } of note.signatures) {
    if (name !== key.name || id !== key.id) continue
    if (key.type === 'note')
      return signature.length === SIGNATURE && verify(null, Buffer.from(note.text), key.key, signature)
        ? { time: null }
        : null
    if (signature.length !== 8 + SIGNATURE) return null
    const seconds = Number(signature.readBigUInt64BE())
    return seconds <= LATEST && verify(null, cosigned(note.text, seconds), key.key, signature.subarray(8))
      ? { time: seconds }
      : null
  }
  return null
}

export function formatNote({ text, signatures }: SignedNote): string {
  return `${text}\n${signatures.map((signature) => `${formatSignature(signature)}\n`).join('')}`
}

/** The line under a note, without its newline. */
export function formatSignature({ name, id, signature }: NoteSignature): string {
  return `\u2014 ${name} ${Buffer.concat([Buffer.from(id, 'hex'), signature]).toString('base64')}`
}

/** Throws E_EVIDENCE_FORMAT. */
export function parseNote(note: string): SignedNote {
  const end = note.lastIndexOf('\n\n')
  // oxlint-disable-next-line eslint/no-control-regex
  if (end < 0 || !note.endsWith('\n') || /[\u0000-\u0009\u000b-\u001f]/.test(note)) throw badNote()
  const signatures = note
    .slice(end + 2, -1)
    .split('\n')
    .map((line) => {
      const [, name, encoded] = /^\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})$/u.exec(line) ?? []
      const bytes = Buffer.from(encoded ?? '', 'base64')
      if (name === undefined || bytes.length < 5) throw badNote()
      return { name, id: bytes.subarray(0, 4).toString('hex'), signature: bytes.subarray(4) }
    })
  return { text: note.slice(0, end + 1), signatures }
}

function cosigned(text: string, seconds: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`)
}

function signerKey(name: string, type: KeyType, secret: KeyObject): SignerKey {
  return { ...verifierKey(name, type, rawKey(createPublicKey(secret))), secret }
}

function verifierKey(name: string, type: KeyType, raw: Buffer): VerifierKey {
  if (!NAME.test(name)) throw badKey(`${JSON.stringify(name)} is no key name: one word without "+".`)
  const id = createHash('sha256')
    .update(Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(typeByte[type]), raw]))
    .digest()
    .subarray(0, 4)
    .toString('hex')
  const key = createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' })
  return { name, type, id, key }
}

function rawKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-KEY)
}

function keyType(byte: number | undefined): KeyType | null {
  if (byte === typeByte.note) return 'note'
  return byte === typeByte.cosignature ? 'cosignature' : null
}

function badKey(why: string): LetheError {
  return new LetheError('E_EVIDENCE_KEY', { message: `A key of the evidence log can't be used. ${why}` })
}

function badNote(): LetheError {
  return new LetheError('E_EVIDENCE_FORMAT', { message: 'This is not a signed note.' })
}
