/**
 * C2SP tlog-witness, the log's side: shows a witness the newest head and that it continues what the witness saw last, and
 * takes its cosignature. Believes nothing but a signature of the key it was configured with.
 */
import { LetheError, type ErrorCode } from '../../base/errors/index.ts'
import { ADD_CHECKPOINT, formatAddCheckpoint, LARGEST_BODY, parseSize, SIZE_TYPE } from './add-checkpoint.ts'
import { formatSignature, parseNote, verifyNote, type SignedNote, type VerifierKey } from './note.ts'

const DEADLINE_MS = 10_000

export interface Witness {
  /** Its submission prefix. */
  url: string
  /** Of a cosigner (type 4). */
  key: VerifierKey
}

export interface Shown {
  size: number
  /** The signed note. */
  note: string
  /** Consistency proof from the tree of `old` leaves, 0 < old ≤ size. */
  prove(old: number): Promise<Buffer[]>
}

/**
 * The cosignature, as a line without its newline; `known` is the size that the witness is thought to know. Takes 10 s at
 * most. Throws E_EVIDENCE_WITNESS (away or not in order: ask later), E_EVIDENCE_WITNESS_REFUSED (asking again won't help),
 * E_EVIDENCE_BROKEN (`tail-cut`: it has cosigned more than there is; `rewritten`: it has cosigned something else).
 */
export async function askWitness(
  witness: Witness,
  head: Shown,
  known: number,
  deadlineMs = DEADLINE_MS,
): Promise<{ line: string; at: Date }> {
  const deadline = AbortSignal.timeout(deadlineMs)
  let old = Math.min(known, head.size)
  let answer = await post(witness, head, old, deadline)
  if (answer.status === 409 && answer.size !== null && answer.size !== old) {
    if (answer.size > head.size) throw tailCut(witness, head, answer.size)
    old = answer.size
    answer = await post(witness, head, old, deadline)
  }
  if (answer.status !== 200) throw refused(witness, head, old, answer)
  return accepted(witness, head, answer.body)
}

interface Answer {
  status: number
  /** What the witness says that it knows. */
  size: number | null
  body: string
}

async function post(witness: Witness, head: Shown, old: number, deadline: AbortSignal): Promise<Answer> {
  const proof = old === 0 || old === head.size ? [] : await head.prove(old)
  try {
    const response = await fetch(`${witness.url.replace(/\/+$/, '')}/${ADD_CHECKPOINT}`, {
      method: 'POST',
      // Only the witness that was configured is asked.
      redirect: 'manual',
      signal: deadline,
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      body: formatAddCheckpoint({ old, proof, checkpoint: head.note }),
    })
    const body = await readBody(response)
    const type = response.headers.get('content-type')?.split(';', 1)[0]?.trim()
    return { status: response.status, size: type === SIZE_TYPE ? parseSize(body.trim()) : null, body }
  } catch (error) {
    const late = deadline.aborted
    throw failure(
      'E_EVIDENCE_WITNESS',
      witness,
      late ? 'did not answer in time' : 'could not be reached, or broke off',
      { reason: late ? 'timeout' : 'unreachable' },
      error,
    )
  }
}

/** What stands behind the first 64 KiB is not read. */
async function readBody(response: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of response.body ?? []) {
    parts.push(part)
    length += part.length
    if (length > LARGEST_BODY) break
  }
  return Buffer.concat(parts).subarray(0, LARGEST_BODY).toString('utf8')
}

/** Of the lines of an answer the first that the witness's key has made; lines of other keys are ignored. */
function accepted(witness: Witness, head: Shown, body: string): { line: string; at: Date } {
  const { text } = parseNote(head.note)
  for (const signature of linesOf(text, body)) {
    const time = verifyNote({ text, signatures: [signature] }, witness.key)?.time ?? null
    if (time !== null) return { line: formatSignature(signature), at: new Date(time * 1000) }
  }
  throw failure(
    'E_EVIDENCE_WITNESS_REFUSED',
    witness,
    `answered with no cosignature of its key for the head at ${head.size} entries`,
    { reason: 'signature', size: head.size },
  )
}

function linesOf(text: string, body: string): SignedNote['signatures'] {
  try {
    return parseNote(`${text}\n${body}`).signatures
  } catch {
    return []
  }
}

function refused(witness: Witness, head: Shown, old: number, { status, size }: Answer): LetheError {
  const facts = { status, size: head.size, old }
  if (status === 422 || (status === 409 && old === head.size && (size === null || size === old)))
    return new LetheError('E_EVIDENCE_BROKEN', {
      message: `Witness ${witness.key.name} has cosigned ${old} entries of the evidence log that the head at ${head.size} does not continue: the log was rewritten or forked.`,
      facts: { kind: 'rewritten', witness: witness.key.name, ...facts },
    })
  const reason = status >= 300 && status < 400 ? 'sends us elsewhere, where we do not go' : reasons[status]
  return reason === undefined
    ? failure('E_EVIDENCE_WITNESS', witness, `is not in order: it answered ${status}`, facts)
    : failure('E_EVIDENCE_WITNESS_REFUSED', witness, reason, facts)
}

const reasons: Readonly<Record<number, string>> = {
  400: 'can not read what we send (400)',
  403: 'does not know the key that the head was signed with (403)',
  404: 'does not witness this log, or its address is another (404)',
  413: 'takes no request of this size (413)',
}

function tailCut(witness: Witness, head: Shown, size: number): LetheError {
  return new LetheError('E_EVIDENCE_BROKEN', {
    message: `Witness ${witness.key.name} has cosigned ${size} entries of the evidence log, the control database's newest head has ${head.size}: it was taken back in time, or its end was cut off.`,
    facts: { kind: 'tail-cut', witness: witness.key.name, size: head.size, signed: size },
  })
}

function failure(
  code: ErrorCode,
  { key }: Witness,
  what: string,
  facts: Record<string, unknown>,
  cause?: unknown,
): LetheError {
  return new LetheError(code, {
    message: `Witness ${key.name} ${what}.`,
    left: 'The head stays signed and is published without its cosignature.',
    facts: { witness: key.name, ...facts },
    ...(cause === undefined ? {} : { cause }),
  })
}
