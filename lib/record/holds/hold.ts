/** A legal hold as the record has it. */
import { z } from 'zod'
import { reasonOf } from '../decisions/index.ts'

export const holdLevels = ['row', 'subject', 'table', 'tenant'] as const
export const holdKinds = [
  'legal-claim',
  'inquiry-moratorium',
  'access-request',
  'restriction',
  'complaint',
] as const
export type HoldLevel = (typeof holdLevels)[number]
export type HoldKind = (typeof holdKinds)[number]

export interface NewHold {
  level: HoldLevel
  store: string
  /** Subject and tenant levels; for tenant, absent means every kind of subject. */
  subject?: string
  /** Row and table levels: `schema.table`. */
  table?: string
  /** Row: the table's primary key; subject: the root's key; tenant: one value. */
  key?: readonly string[]
  kind: HoldKind
  owner: string
  reason: string
  /** A day, `YYYY-MM-DD`: when someone must look whether it is still needed. */
  reviewAt: string
  /** The erasure request on whose person it is set. */
  request?: string
}

/** As it is listed: with the reasons, read through the hashes. */
export const listed = z
  .object({
    id: z.string(),
    level: z.enum(holdLevels),
    store: z.string(),
    subject: z.string().nullable(),
    table: z.string().nullable(),
    /** The erasure request by which it was set. */
    request: z.string().nullable(),
    kind: z.enum(holdKinds),
    owner: z.string(),
    reviewAt: z.string(),
    overdue: z.boolean(),
    createdBy: z.string(),
    createdAt: z.date(),
    releasedAt: z.date().nullable(),
    projected: z.boolean(),
    /** Hashes of what was signed, in hex. */
    statement: z.string(),
    releaseStatement: z.string().nullable(),
    text: z.string().nullable(),
    releaseText: z.string().nullable(),
  })
  .transform(({ text, releaseText, ...hold }) => ({
    ...hold,
    reason: reasonOf(text),
    releaseReason: hold.releaseStatement === null ? null : reasonOf(releaseText),
  }))
export type Hold = z.infer<typeof listed>
