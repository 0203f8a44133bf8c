/** Proofs that leave the house: one file says what was recorded, and that the log holds it. Checked offline. */
import { z } from 'zod'
import { canonicalJson, readJson } from '../../base/canonical/index.ts'
import type { Database, Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { readCheckpoint, trustCheckpoint, type TrustedCheckpoint } from './checkpoint.ts'
import { requireQuorum, type Quorum } from './cosignatures.ts'
import { commitment, contentSchema, contentSql, instant, type Content } from './entry.ts'
import { inclusionProof, leafHash, rootFromInclusion, type NodeReader } from './merkle.ts'
import { parseNote, type VerifierKey } from './note.ts'
import { formatProof, parseProof } from './proof.ts'
import { headOver, newestHead, type Head } from './publish.ts'
import { storedNodes } from './store.ts'

/** What the file carries beside the proof: the salt (hexadecimal), and the content as it was hashed. */
const extraSchema = z.strictObject({ salt: z.string().regex(/^[0-9a-f]{32}$/), content: z.string() })

/** A head and the tree under it: what any number of proofs may stand on. */
export interface Basis {
  head: Head
  root: Buffer
  nodes: NodeReader
}

/** Null while no head is signed. */
export async function newestBasis(control: Queryable): Promise<Basis | null> {
  return basisOn(control, await newestHead(control))
}

function basisOn(control: Queryable, head: Head | null): Basis | null {
  if (head === null) return null
  const { root } = readCheckpoint(parseNote(head.note))
  return { head, root, nodes: storedNodes(control, head.size) }
}

export interface ProvableEntry {
  /** The event's number. */
  event: string
  index: number
  entry: Buffer
  salt: Buffer
  /** As `contentSql` gives it. */
  content: string
}

/** Throws E_EVIDENCE_BROKEN instead of making a proof that wouldn't hold. */
export async function proofOf(
  { head, root, nodes }: Basis,
  { event, index, entry, salt, content }: ProvableEntry,
): Promise<string> {
  const path = await inclusionProof(index, head.size, nodes)
  if (
    !commitment(salt, Buffer.from(content)).equals(entry) ||
    rootFromInclusion(index, head.size, leafHash(entry), path)?.equals(root) !== true
  )
    throw new LetheError('E_EVIDENCE_BROKEN', {
      message: `Event ${event} can't be proved: it, entry ${index} or the tree is not what the head at ${head.size} entries was signed for.`,
      facts: { event, index, size: head.size },
    })
  return formatProof({
    extra: Buffer.from(canonicalJson({ salt: salt.toString('hex'), content })),
    index,
    path,
    checkpoint: head.note,
  })
}

/**
 * The proof of an event (its number) under the newest head, of cosigned ones where there are any. Throws E_NOT_FOUND, E_EVIDENCE_AGED, E_EVIDENCE_PENDING,
 * E_EVIDENCE_BROKEN.
 */
export async function proveEvent(control: Database, event: string): Promise<string> {
  const known = /^\d{1,18}$/.test(event)
  const [row] = known
    ? await control.query(
        z.object({
          index: z.coerce.number().nullable(),
          entry: z.instanceof(Buffer).nullable(),
          salt: z.instanceof(Buffer).nullable(),
          content: z.string().nullable(),
          there: z.boolean(),
        }),
        `SELECT x.index, x.entry, x.salt, ${contentSql('e', instant('x.sequenced_at'))} AS content, e.id IS NOT NULL AS there
         FROM (SELECT $1::bigint AS id) AS asked
         LEFT JOIN lethe_control.events e ON e.id = asked.id
         LEFT JOIN lethe_control.evidence_entries x ON x.event_id = asked.id`,
        [event],
      )
    : []
  if (row === undefined || (row.index === null && !row.there))
    throw new LetheError('E_NOT_FOUND', {
      message: `There is no event ${event}.`,
      next: 'An event is named by its number: `lethe runs show RUN --json` and `lethe evidence export` list them.',
    })
  const { index, entry, salt, content } = row
  const basis = index === null ? null : basisOn(control, await headOver(control, index))
  if (index === null || entry === null || basis === null || basis.head.size <= index)
    throw new LetheError('E_EVIDENCE_PENDING', {
      message: `Event ${event} is recorded, but no signed head of the log covers it yet.`,
    })
  if (salt === null || content === null)
    throw new LetheError('E_EVIDENCE_AGED', {
      message: `The content of event ${event} is gone; entry ${index} of the log stands. \`lethe evidence verify\` says whether it was old enough to go.`,
    })
  return proofOf(basis, { event, index, entry, salt, content })
}

/** What somebody does about it who has nothing but files. */
export const OFFLINE =
  'Keep this file as it is, and ask whoever gave it to you for a new one; if that fails too, ask for a copy of the bucket.'

export interface Proven {
  index: number
  content: Content
  checkpoint: TrustedCheckpoint
}

/**
 * Checks a proof by public keys alone; its head has to be cosigned by the quorum. Throws E_EVIDENCE_FORMAT, E_EVIDENCE_ORIGIN, E_EVIDENCE_SIGNATURE, and
 * E_EVIDENCE_BROKEN where the content is not what the log holds at that place.
 */
export function verifyProof(
  text: string,
  origin: string,
  keys: readonly VerifierKey[],
  quorum: Quorum = { keys: [], needed: 0 },
): Proven {
  const proof = parseProof(text)
  const checkpoint = trustCheckpoint(proof.checkpoint, origin, keys)
  requireQuorum(checkpoint, quorum)
  const extra = extraSchema.safeParse(readJson(proof.extra.toString('utf8')))
  const content = contentSchema.safeParse(readJson(extra.data?.content ?? ''))
  if (!extra.success || !content.success)
    throw new LetheError('E_EVIDENCE_FORMAT', { message: 'The proof carries no event of Lethe.' })
  const entry = commitment(Buffer.from(extra.data.salt, 'hex'), Buffer.from(extra.data.content))
  const root = rootFromInclusion(proof.index, checkpoint.size, leafHash(entry), proof.path)
  if (root === null || !root.equals(checkpoint.root))
    throw new LetheError('E_EVIDENCE_BROKEN', {
      message: `The proof doesn't hold: what it carries is not entry ${proof.index} of log ${origin} at size ${checkpoint.size}.`,
      next: OFFLINE,
      facts: { index: proof.index, size: checkpoint.size },
    })
  return { index: proof.index, content: content.data, checkpoint }
}
