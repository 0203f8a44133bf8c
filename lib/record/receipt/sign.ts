/**
 * A receipt as a file: a C2SP signed note whose text is a header, the name of the log whose key signed, and the receipt as
 * one line of canonical JSON (RFC 8785). The header keeps the signature from standing for anything else that the log's key
 * signs; nothing but the published keys is needed to check it.
 */
import { canonicalHash, canonicalJson, readJson } from '../../base/canonical/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import {
  formatNote,
  parseNote,
  signNote,
  verifyNote,
  type SignedNote,
  type SignerKey,
  type VerifierKey,
} from '../evidence/index.ts'
import { visible } from './atoms.ts'
import { receiptSchema, type Receipt } from './schema.ts'

const HEADER = 'lethe/erasure-receipt@v1'
/** Key id and Ed25519 signature are 68 bytes: what parses and has fewer was cut. */
const SIGNATURE = 64
const ASK = 'Keep the file as it is, and ask whoever gave it to you for a new one.'

/**
 * The text of the file. The same receipt and key give the same bytes. Throws E_EVIDENCE_FORMAT for a receipt that says what
 * it may not, or contradicts itself, and E_EVIDENCE_KEY for a cosigner's key: that one signs heads only.
 */
export function signReceipt(receipt: Receipt, signer: SignerKey): string {
  if (signer.type !== 'note')
    throw new LetheError('E_EVIDENCE_KEY', {
      message: `Key ${signer.name}+${signer.id} is a cosigner's: a receipt is signed with the log's own key.`,
    })
  const checked = receiptSchema.safeParse(receipt)
  if (!checked.success) throw unfit(`The receipt can't be signed: ${whatIsWrong(checked.error.issues)}.`)
  const text = `${HEADER}\n${signer.name}\n${canonicalJson(checked.data)}\n`
  return formatNote({ text, signatures: [signNote(text, signer, new Date(receipt.finished))] })
}

export interface VerifiedReceipt {
  receipt: Receipt
  /** Name of the log that signed, and `name+id` of its key. */
  origin: string
  signedBy: string
}

/**
 * Checks a receipt by public keys alone. Throws E_EVIDENCE_FORMAT (no receipt, or cut off), E_EVIDENCE_KEY (no key given that
 * could sign one), E_EVIDENCE_ORIGIN (another log's), E_EVIDENCE_SIGNATURE (another key, or edited).
 */
export function verifyReceipt(file: string, keys: readonly VerifierKey[]): VerifiedReceipt {
  const signers = keys.filter(({ type }) => type === 'note')
  if (signers.length === 0)
    throw new LetheError('E_EVIDENCE_KEY', {
      message: "Among the keys given is none that signs receipts: a cosigner's key doesn't.",
      next: 'Give all lines that `lethe evidence keys` printed, or the first of them.',
    })
  const note = readNote(file)
  const [, name = '', json = '', ...rest] = note.text.split('\n')
  const origin = visible(name)
  if (rest.length !== 1 || rest[0] !== '') throw unfit('The signed text is not one receipt.', ASK)
  const key = trust(note, origin, signers)
  const receipt = receiptSchema.safeParse(readJson(json))
  if (!receipt.success)
    throw unfit(
      `The signature holds, but this is no receipt that this version knows: ${whatIsWrong(receipt.error.issues)}.`,
      'Verify it with the version of Lethe that made it, or a newer one.',
    )
  // Another reader of the same bytes must not find other members: JSON leaves open which of two twins counts.
  if (canonicalJson(receipt.data) !== json)
    throw unfit('The signed text is not canonical JSON (RFC 8785).', ASK)
  return { receipt: receipt.data, origin, signedBy: `${key.name}+${key.id}` }
}

/** SHA-256 (hex) of the receipt's canonical JSON: what a page made of it is compared by. */
export function receiptHash(receipt: Receipt): string {
  return canonicalHash(receipt)
}

/** Whatever a mail has done to its line ends: none of them stands in what is signed. */
function readNote(file: string): SignedNote {
  if (!file.startsWith(HEADER)) throw unfit('This is not an erasure receipt.')
  const text = `${file.replaceAll('\r\n', '\n').trimEnd()}\n`
  try {
    return parseNote(text)
  } catch (error) {
    if (!(error instanceof LetheError)) throw error
    throw unfit('The receipt is cut off or damaged: no whole signature stands under it.', ASK)
  }
}

/** The key that signed. */
function trust(note: SignedNote, origin: string, keys: readonly VerifierKey[]): VerifierKey {
  const named = keys.filter(({ name }) => name === origin)
  if (named.length === 0) {
    const expected = [...new Set(keys.map(({ name }) => name))]
    throw new LetheError('E_EVIDENCE_ORIGIN', {
      message: `The receipt says that it is of ${origin}; the keys given are of ${expected.join(', ')}.`,
      next: 'Take the public keys of the log that the receipt names, from where its operator publishes them.',
      facts: { found: origin, expected },
    })
  }
  const trusted = named.find((key) => verifyNote(note, key) !== null)
  if (trusted !== undefined) return trusted
  const own = note.signatures.filter(({ name, id }) =>
    named.some((key) => key.name === name && key.id === id),
  )
  if (own.some(({ signature }) => signature.length < SIGNATURE))
    throw unfit('The receipt is cut off: its signature is not whole.', ASK)
  throw new LetheError('E_EVIDENCE_SIGNATURE', {
    message:
      own.length > 0
        ? `The receipt was edited after it was signed: the signature by ${origin} doesn't fit what it says.`
        : `The receipt is signed with another key than those given of ${origin}.`,
    ...(own.length > 0 ? { next: ASK } : {}),
    facts: { signers: note.signatures.map(({ name, id }) => `${visible(name)}+${id}`) },
  })
}

interface Issue {
  path: readonly PropertyKey[]
  message: string
  code: string
}

/** Members whose own members are names of places. */
const counted: ReadonlySet<PropertyKey> = new Set(['counts', 'pseudonymised', 'detached', 'left'])

/** Without names of places or unknown members: those could be anything, an address too. */
function whatIsWrong(issues: readonly Issue[]): string {
  return issues
    .map(({ path, message, code }) => {
      const end = path.findIndex((key) => counted.has(key))
      const known = end < 0 ? path : path.slice(0, end + 1)
      const what =
        code === 'unrecognized_keys'
          ? 'has a member that is not known'
          : message.replace(/^Invalid .*/, 'is not as it should be')
      return `${known.join('.') || 'it'} ${what}`
    })
    .join('; ')
}

function unfit(message: string, next?: string): LetheError {
  return new LetheError('E_EVIDENCE_FORMAT', { message, ...(next === undefined ? {} : { next }) })
}
