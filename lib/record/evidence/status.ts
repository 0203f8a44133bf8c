/** How far the log is behind the record: to be indexed, to be signed, to be copied. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { newestHead, type Head } from './publish.ts'
import { missingLog } from './store.ts'

export interface LogStatus {
  size: number
  /** Committed events without an index. */
  waiting: number
  head: Pick<Head, 'size' | 'at'> | null
  publishedSize: number | null
  /** Leaves of the head that the last verification without a break has reached. */
  verifiedSize: number
  /** The period that a person has typed back. */
  lockedFor: string | null
  /** Seconds for which the oldest event waits for its index, the oldest entry for a head, the oldest head for its copy; 0: none does. */
  behind: { sequenced: number; signed: number; published: number }
}

export async function logStatus(control: Queryable): Promise<LogStatus> {
  const head = await newestHead(control)
  const [row] = await control.query(
    z.object({
      size: z.coerce.number(),
      verified: z.coerce.number(),
      locked_for: z.string().nullable(),
      waiting: z.coerce.number(),
      published: z.coerce.number().nullable(),
      unsequenced: z.coerce.number(),
      unsigned: z.coerce.number(),
      unpublished: z.coerce.number(),
    }),
    `SELECT l.size, l.verified, l.locked_for, w.count AS waiting, p.size AS published,
       coalesce(extract(epoch FROM clock_timestamp() - w.oldest), 0) AS unsequenced,
       coalesce(extract(epoch FROM clock_timestamp() - (
         SELECT sequenced_at FROM lethe_control.evidence_entries WHERE index = $1)), 0) AS unsigned,
       coalesce(extract(epoch FROM clock_timestamp() - (
         SELECT at FROM lethe_control.evidence_checkpoints
         WHERE published_at IS NULL AND size > coalesce(p.size, 0) ORDER BY size, at LIMIT 1)), 0) AS unpublished
     FROM lethe_control.evidence_log l
     CROSS JOIN LATERAL (
       SELECT count(*) AS count, min(e.at) AS oldest FROM lethe_control.events e
       WHERE e.xact >= coalesce(pg_snapshot_xmin(l.seen), '0'::xid8)
         AND NOT EXISTS (SELECT FROM lethe_control.evidence_entries x WHERE x.event_id = e.id)) AS w
     LEFT JOIN LATERAL (
       SELECT size FROM lethe_control.evidence_checkpoints WHERE published_at IS NOT NULL ORDER BY size DESC LIMIT 1) AS p ON true`,
    [head?.size ?? 0],
  )
  if (row === undefined) throw missingLog()
  return {
    size: row.size,
    waiting: row.waiting,
    head: head === null ? null : { size: head.size, at: head.at },
    publishedSize: row.published,
    verifiedSize: row.verified,
    lockedFor: row.locked_for,
    behind: { sequenced: row.unsequenced, signed: row.unsigned, published: row.unpublished },
  }
}
