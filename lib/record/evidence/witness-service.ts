/**
 * C2SP tlog-witness, the witness's side: what a second party decides before it cosigns a log's head. It never cosigns two
 * histories: a head has to continue the last one, and is on the disk before its cosignature leaves.
 */
import { constants } from 'node:fs'
import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { wallClock } from '../../base/clock/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { parseAddCheckpoint, SIZE_TYPE, type AddCheckpoint } from './add-checkpoint.ts'
import { readCheckpoint, type Checkpoint } from './checkpoint.ts'
import { emptyRoot, rootsFromConsistency } from './merkle.ts'
import { formatSignature, parseNote, signNote, verifyNote, type SignerKey, type VerifierKey } from './note.ts'

export interface WitnessSettings {
  /** The log that it witnesses. */
  origin: string
  /** The log's public keys: a head is signed by one of them. */
  keys: readonly VerifierKey[]
  /** Of a cosigner (type 4). */
  signer: SignerKey
  /** File of the last head that was cosigned. One witness a file. */
  state: string
}

/** What HTTP answers. */
export interface WitnessAnswer {
  status: 200 | 400 | 403 | 404 | 409 | 422
  type: string
  body: string
}

export interface WitnessService {
  /** Leaves of the last head that was cosigned; 0: none. */
  readonly size: number
  /** The body of a request to add a checkpoint. Throws what the disk throws: then nothing was cosigned. */
  add(body: string): Promise<WitnessAnswer>
}

/** Throws E_USAGE, E_EVIDENCE_ORIGIN or E_EVIDENCE_SIGNATURE where the state is not a head of this log. */
export async function openWitness(settings: WitnessSettings): Promise<WitnessService> {
  const { origin, keys, signer, state } = settings
  let last = await readState(settings)
  let turn: Promise<unknown> = Promise.resolve()

  const cosign = async (asked: AddCheckpoint, head: Checkpoint, text: string): Promise<WitnessAnswer> => {
    if (asked.old !== last.size) return { status: 409, type: SIZE_TYPE, body: `${last.size}\n` }
    if (head.size === last.size && !head.root.equals(last.root))
      return say(409, 'Another head of this size was cosigned.')
    if (!continues(last, head, asked.proof)) return say(422, 'The proof does not hold.')
    if (head.size > last.size) await writeState(state, asked.checkpoint)
    last = head
    // The second party's own clock is what it states.
    return say(200, formatSignature(signNote(text, signer, wallClock())))
  }

  return {
    get size() {
      return last.size
    },
    async add(body) {
      const asked = attempt(() => parseAddCheckpoint(body))
      const note = asked === null ? null : attempt(() => parseNote(asked.checkpoint))
      const head = note === null ? null : attempt(() => readCheckpoint(note))
      if (asked === null || note === null || head === null) return say(400, 'No request to add a checkpoint.')
      if (head.origin !== origin) return say(404, 'This log is not witnessed here.')
      if (!keys.some((key) => verifyNote(note, key) !== null)) return say(403, 'No known key has signed it.')
      if (asked.old > head.size) return say(400, 'The old size is above the new one.')
      // One at a time: between the look at the last head and the new one on the disk nothing else may happen.
      const answer = turn.then(async () => cosign(asked, head, note.text))
      turn = answer.catch(() => undefined)
      return answer
    },
  }
}

type Last = Pick<Checkpoint, 'size' | 'root'>

function continues(last: Last, head: Checkpoint, proof: readonly Buffer[]): boolean {
  if (last.size === 0) return proof.length === 0 && (head.size > 0 || head.root.equals(emptyRoot))
  const roots = rootsFromConsistency(last.size, head.size, last.root, proof)
  return roots !== null && roots.old.equals(last.root) && roots.new.equals(head.root)
}

/** The state is the cosigned checkpoint itself, with the log's signature: should the log ever fork, it is the proof. */
async function readState({ origin, keys, state }: WitnessSettings): Promise<Last> {
  let text: string
  try {
    text = await readFile(state, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      return { size: 0, root: emptyRoot }
    throw badState(state)
  }
  const note = attempt(() => parseNote(text))
  const head = note === null ? null : attempt(() => readCheckpoint(note))
  if (note === null || head === null) throw badState(state)
  if (head.origin !== origin)
    throw new LetheError('E_EVIDENCE_ORIGIN', {
      message: `The state ${state} is of log ${head.origin}, not of ${origin}.`,
      next: 'Name the file of this log, or one that is not there yet for a log that was never witnessed.',
    })
  if (!keys.some((key) => verifyNote(note, key) !== null))
    throw new LetheError('E_EVIDENCE_SIGNATURE', {
      message: `No known key of log ${origin} has signed the state ${state}.`,
      next: 'Keep the earlier keys of the log in the file of its keys.',
    })
  return head
}

/** Starting anew instead would let the log show another history. */
function badState(state: string): LetheError {
  return new LetheError('E_USAGE', {
    message: `The state ${state} can't be read, or is not a head of a log.`,
    next: 'Bring it back from a copy. Without it the witness would cosign whatever it is shown first.',
  })
}

/** Whole or not at all, whenever the power goes. */
async function writeState(path: string, text: string): Promise<void> {
  const next = `${path}.next`
  const file = await open(next, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(next, path)
  const folder = await open(dirname(path), constants.O_RDONLY)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function say(status: WitnessAnswer['status'], line: string): WitnessAnswer {
  return { status, type: 'text/plain; charset=utf-8', body: `${line}\n` }
}

/** Null for what can't be read. */
function attempt<T>(read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof LetheError) return null
    throw error
  }
}
