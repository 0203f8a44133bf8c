/** C2SP tlog-witness: what a log sends to a witness's `add-checkpoint`, and how the witness reads it. */
import { LetheError } from '../../base/errors/index.ts'
import { HASH } from './merkle.ts'

/** Path below a witness's URL. */
export const ADD_CHECKPOINT = 'add-checkpoint'
/** The type of an answer whose body is the size that the witness knows. */
export const SIZE_TYPE = 'text/x.tlog.size'
/** Bytes of a request or an answer that either side reads; both are a few hundred. */
export const LARGEST_BODY = 65_536
/** Hashes a consistency proof of any tree can have. */
const LONGEST_PROOF = 63

export interface AddCheckpoint {
  /** Leaves of the head that the witness has cosigned last; 0: none. */
  old: number
  /** That those leaves are a prefix of the checkpoint's; empty where `old` is 0. */
  proof: readonly Buffer[]
  /** The signed note. */
  checkpoint: string
}

export function formatAddCheckpoint({ old, proof, checkpoint }: AddCheckpoint): string {
  return [`old ${old}`, ...proof.map((hash) => hash.toString('base64')), '', checkpoint].join('\n')
}

/** Throws E_EVIDENCE_FORMAT. The checkpoint is not read here. */
export function parseAddCheckpoint(body: string): AddCheckpoint {
  const end = body.indexOf('\n\n')
  const [first = '', ...lines] = body.slice(0, Math.max(end, 0)).split('\n')
  const size = /^old (.*)$/.exec(first)?.[1]
  const old = size === undefined ? null : parseSize(size)
  const proof = lines.map((line) => Buffer.from(line, 'base64'))
  const whole = proof.every((hash, n) => hash.length === HASH && hash.toString('base64') === lines[n])
  if (old === null || !whole || proof.length > LONGEST_PROOF)
    throw new LetheError('E_EVIDENCE_FORMAT', { message: 'This is not a request to add a checkpoint.' })
  return { old, proof, checkpoint: body.slice(end + 2) }
}

/** A number of leaves in decimal; null for any other text. */
export function parseSize(text: string): number | null {
  const size = Number(text)
  return /^(0|[1-9]\d{0,15})$/.test(text) && Number.isSafeInteger(size) ? size : null
}
