/** A file that proves, offline and by public keys alone, that a later head of the log continues an earlier one. */
import type { Database } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { trustCheckpoint, type TrustedCheckpoint } from './checkpoint.ts'
import type { Trust } from './heads.ts'
import { consistencyProof, HASH, rootsFromConsistency } from './merkle.ts'
import { OFFLINE } from './prove.ts'
import { newestHead } from './publish.ts'
import { storedNodes } from './store.ts'

const HEADER = 'lethe/tlog-consistency@v1'

/**
 * From a signed head that somebody kept to the newest one: the header, a hash a line, and both heads, an empty line before
 * each. Throws E_EVIDENCE_PENDING, E_EVIDENCE_BROKEN where the log is shorter than the head, and what `trustCheckpoint` throws.
 */
export async function proveConsistency(
  control: Database,
  { origin, keys }: Trust,
  kept: string,
): Promise<string> {
  const old = trustCheckpoint(kept, origin, keys)
  const head = await newestHead(control)
  if (head === null)
    throw new LetheError('E_EVIDENCE_PENDING', { message: 'No head of the evidence log is signed yet.' })
  if (old.size > head.size)
    throw new LetheError('E_EVIDENCE_BROKEN', {
      message: `The head was signed for ${old.size} entries, the log has ${head.size}: it was taken back in time, or its end was cut off.`,
      facts: { kind: 'tail-cut', size: head.size, signed: old.size },
    })
  const proof =
    old.size === 0 ? [] : await consistencyProof(old.size, head.size, storedNodes(control, head.size))
  return [HEADER, ...proof.map((hash) => hash.toString('base64')), '', `${kept.trimEnd()}\n`, head.note].join(
    '\n',
  )
}

export function isConsistencyProof(text: string): boolean {
  return text.startsWith(`${HEADER}\n`)
}

/** Both heads. Throws E_EVIDENCE_FORMAT, E_EVIDENCE_BROKEN (a fork), and what `trustCheckpoint` throws. */
export function verifyConsistency(
  text: string,
  { origin, keys }: Trust,
): { old: TrustedCheckpoint; new: TrustedCheckpoint } {
  const [head = '', oldText, oldSignatures, newText, newSignatures, ...rest] = text.split('\n\n')
  const [header, ...lines] = head.split('\n')
  const proof = lines.map((line) => Buffer.from(line, 'base64'))
  if (
    header !== HEADER ||
    newSignatures === undefined ||
    rest.length > 0 ||
    proof.length > 64 ||
    proof.some((hash) => hash.length !== HASH)
  )
    throw new LetheError('E_EVIDENCE_FORMAT', {
      message: 'This is not a proof that two heads are of one log.',
    })
  const old = trustCheckpoint(`${oldText}\n\n${oldSignatures}\n`, origin, keys)
  const later = trustCheckpoint(`${newText}\n\n${newSignatures}`, origin, keys)
  const roots =
    old.size === 0
      ? { old: old.root, new: later.root }
      : rootsFromConsistency(old.size, later.size, old.root, proof)
  if (roots === null || !roots.old.equals(old.root) || !roots.new.equals(later.root))
    throw new LetheError('E_EVIDENCE_BROKEN', {
      message: `The head at ${later.size} entries does not continue the one at ${old.size}: the log was rewritten or forked, or the proof is wrong.`,
      next: OFFLINE,
      facts: { kind: 'rewritten', old: old.size, new: later.size },
    })
  return { old, new: later }
}
