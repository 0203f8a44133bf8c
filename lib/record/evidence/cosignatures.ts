/** Cosignatures under a head: who has seen it beside us, as a verifier asks, and what the control database knows of each witness. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import type { TrustedCheckpoint } from './checkpoint.ts'
import { verifyNote, type SignedNote, type VerifierKey } from './note.ts'

/** Witnesses of which at least `needed` have to have cosigned a head. */
export interface Quorum {
  keys: readonly VerifierKey[]
  needed: number
}

export interface Cosignature {
  /** Name of the witness's key. */
  witness: string
  /** By the witness's clock. */
  at: Date
}

/** Those of the witnesses whose cosignature the note carries; each key counts once. */
export function cosignaturesOf(note: SignedNote, keys: readonly VerifierKey[]): Cosignature[] {
  const distinct = new Map(keys.map((key) => [witnessId(key), key]))
  return [...distinct.values()].flatMap((key) => {
    const time = verifyNote(note, key)?.time ?? null
    return time === null ? [] : [{ witness: key.name, at: new Date(time * 1000) }]
  })
}

/** Throws E_EVIDENCE_SIGNATURE where fewer witnesses than needed have cosigned the head. */
export function requireQuorum(head: Pick<TrustedCheckpoint, 'note' | 'size'>, quorum: Quorum): Cosignature[] {
  const found = cosignaturesOf(head.note, quorum.keys)
  if (found.length >= quorum.needed) return found
  throw new LetheError('E_EVIDENCE_SIGNATURE', {
    message: `Of the ${quorum.keys.length} witnesses named, ${found.length} cosigned the head at size ${head.size}; ${quorum.needed} have to.`,
    next: 'Ask for a proof under a head that they have cosigned: the log asks them again with each new one.',
    facts: { size: head.size, cosigned: found.map(({ witness }) => witness), needed: quorum.needed },
  })
}

/** `name+id`: what a key is called in the record. */
export function witnessId({ name, id }: VerifierKey): string {
  return `${name}+${id}`
}

export interface WitnessState {
  /** `name+id` of its key. */
  witness: string
  /** Leaves of the last head that it cosigned. */
  size: number
  cosignedAt: Date
}

/** What each witness cosigned last. */
export async function witnessStates(db: Queryable): Promise<WitnessState[]> {
  return db.query(
    z
      .object({ witness: z.string(), size: z.coerce.number(), cosigned_at: z.date() })
      .transform((row) => ({ witness: row.witness, size: row.size, cosignedAt: row.cosigned_at })),
    `SELECT DISTINCT ON (witness) witness, size, cosigned_at FROM lethe_control.evidence_cosignatures
     ORDER BY witness, size DESC, at DESC`,
  )
}
