/** C2SP tlog-checkpoint: the signed head of the log. The log signs twice, plainly and with the time. */
import { LetheError } from '../../base/errors/index.ts'
import { HASH } from './merkle.ts'
import {
  asCosigner,
  formatNote,
  parseNote,
  signNote,
  verifyNote,
  type SignedNote,
  type SignerKey,
  type VerifierKey,
} from './note.ts'

export interface Checkpoint {
  /** The log's name; a URL without its scheme by custom. */
  origin: string
  /** Leaves. */
  size: number
  root: Buffer
}

export interface TrustedCheckpoint extends Checkpoint {
  /** When the log says that this was its head. */
  at: Date
  note: SignedNote
}

/** Signed plainly, for every verifier of the format, and with the time, so that a clock that went back is seen. */
export function signCheckpoint(checkpoint: Checkpoint, signer: SignerKey, at: Date): string {
  const text = checkpointText(checkpoint)
  return formatNote({
    text,
    signatures: [signNote(text, signer, at), signNote(text, asCosigner(signer), at)],
  })
}

function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`
}

/** The unsigned content. Throws E_EVIDENCE_FORMAT. */
export function readCheckpoint(note: SignedNote): Checkpoint {
  const [origin = '', size = '', root = ''] = note.text.split('\n')
  const hash = Buffer.from(root, 'base64')
  const leaves = Number(size)
  if (
    origin === '' ||
    !/^(0|[1-9]\d{0,15})$/.test(size) ||
    !Number.isSafeInteger(leaves) ||
    hash.length !== HASH ||
    hash.toString('base64') !== root
  )
    throw new LetheError('E_EVIDENCE_FORMAT', { message: 'This is not a checkpoint of a log.' })
  return { origin, size: leaves, root: hash }
}

/**
 * Trusts a checkpoint that one of the log's keys has signed, plainly and with the time. Throws E_EVIDENCE_FORMAT,
 * E_EVIDENCE_ORIGIN (another log's) or E_EVIDENCE_SIGNATURE.
 */
export function trustCheckpoint(
  text: string,
  origin: string,
  keys: readonly VerifierKey[],
): TrustedCheckpoint {
  const note = parseNote(text)
  const checkpoint = readCheckpoint(note)
  if (checkpoint.origin !== origin)
    throw new LetheError('E_EVIDENCE_ORIGIN', {
      message: `The checkpoint is of log ${checkpoint.origin}, not of ${origin}.`,
      facts: { found: checkpoint.origin, expected: origin },
    })
  const plain = keys.some((key) => key.type === 'note' && verifyNote(note, key) !== null)
  const time = keys
    .filter((key) => key.type === 'cosignature')
    .map((key) => verifyNote(note, key)?.time ?? null)
    .find((found) => found !== null)
  if (!plain || time === undefined)
    throw new LetheError('E_EVIDENCE_SIGNATURE', {
      message: `No key of log ${origin} has signed the checkpoint at size ${checkpoint.size}.`,
      facts: { size: checkpoint.size, signers: note.signatures.map(({ name, id }) => `${name}+${id}`) },
    })
  return { ...checkpoint, at: new Date(time * 1000), note }
}
