/**
 * Signs the log's head, and copies tiles, entries and head into a locked bucket. A head is signed only where it continues
 * the last one; it is published only where it continues what the bucket holds: a database that was taken back or rewritten
 * is found out before a second history is signed or seen.
 */
import { z } from 'zod'
import type { Bucket } from '../../base/bucket/index.ts'
import type { Database, Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { signCheckpoint, trustCheckpoint, type TrustedCheckpoint } from './checkpoint.ts'
import { leafHash, rootOf } from './merkle.ts'
import { refuseSkew } from './skew.ts'
import { verifierKeys, type LogKeys } from './keys.ts'
import { missingLog, storedEntries, storedNodes, storedTile } from './store.ts'
import { bundle, bundlePath, newTiles, tilePath, WIDTH } from './tiles.ts'

/** Object of the newest head; every other object is written once. */
export const HEAD_KEY = 'checkpoint'

export interface Head {
  size: number
  at: Date
  /** The signed note, the witnesses' lines among its signatures. */
  note: string
  publishedAt: Date | null
}

/** Signed, and not stored yet. */
export interface NewHead extends Pick<Head, 'size' | 'note'> {
  /** Throws E_EVIDENCE_BROKEN where it doesn't continue this signed head, which is kept elsewhere. */
  continues(kept: string): Promise<void>
}

const headRow = z
  .object({
    size: z.coerce.number(),
    at: z.date(),
    note: z.string(),
    published_at: z.date().nullable(),
  })
  .transform((row): Head => ({ size: row.size, at: row.at, note: row.note, publishedAt: row.published_at }))

export async function newestHead(control: Queryable): Promise<Head | null> {
  const [head] = await control.query(headRow, `${cosigned} ORDER BY size DESC, at DESC LIMIT 1`)
  return head ?? null
}

/** The newest head over entry `index` that a witness has cosigned; while there is none, the newest of all. */
export async function headOver(control: Queryable, index: number): Promise<Head | null> {
  const [head] = await control.query(
    headRow,
    `${cosigned} JOIN (SELECT size, at FROM lethe_control.evidence_cosignatures WHERE size > $1
       ORDER BY size DESC, at DESC LIMIT 1) AS witnessed USING (size, at)`,
    [index],
  )
  return head ?? newestHead(control)
}

/** Heads with the lines of their cosignatures. */
const cosigned = `SELECT size, at, published_at, note || coalesce((SELECT string_agg(line || E'\\n', '' ORDER BY witness)
    FROM lethe_control.evidence_cosignatures s WHERE (s.size, s.at) = (c.size, c.at)), '') AS note
  FROM lethe_control.evidence_checkpoints c`

/**
 * A new head where there is news and the last one is older than `newsSeconds`, or is a day old. Null: none is due.
 * `outside` is given the new head before it is stored, and throws where others know better. Throws E_EVIDENCE_CLOCK,
 * E_EVIDENCE_BROKEN where the tree doesn't continue the last head.
 */
export async function signHead(
  control: Database,
  keys: LogKeys,
  newsSeconds = 60,
  outside: (head: NewHead) => Promise<void> = () => Promise.resolve(),
): Promise<Head | null> {
  const last = await newestHead(control)
  const [log] = await control.query(
    z.object({ size: z.coerce.number(), now: z.date() }),
    `SELECT size, clock_timestamp() AS now FROM lethe_control.evidence_log`,
  )
  if (log === undefined) throw missingLog()
  refuseSkew(log.now, 'No head is signed')
  const age = last === null ? Infinity : (log.now.getTime() - last.at.getTime()) / 1000
  if (log.size === 0 || age < newsSeconds || (log.size === last?.size && age < 86_400)) return null
  if (last !== null) await continues(control, log.size, trustOwn(last.note, keys), 'the last head')
  const root = await rootOf(log.size, storedNodes(control, log.size))
  const note = signCheckpoint({ origin: keys.origin, size: log.size, root }, keys.signer, log.now)
  const compare = async (kept: string) =>
    continues(control, log.size, trustOwn(kept, keys), 'a head that is kept elsewhere')
  await outside({ size: log.size, note, continues: compare })
  await control.execute(
    `INSERT INTO lethe_control.evidence_checkpoints (size, at, note) VALUES ($1, $2, $3)`,
    [log.size, log.now, note],
  )
  return { size: log.size, at: log.now, note, publishedAt: null }
}

/**
 * Copies the newest head and what it stands on; null where it is there already. Idempotent: a crash in the middle leaves
 * tiles without a head, which the next try writes again. Throws E_BUCKET_*, E_EVIDENCE_BROKEN (a fork, or a database taken
 * back in time).
 */
export async function publishHead(
  control: Database,
  bucket: Bucket,
  keys: LogKeys,
  lockedUntil: Date,
): Promise<Head | null> {
  const head = await newestHead(control)
  if (head === null || head.publishedAt !== null) return null
  await bucket.requireLock()
  const found = await bucket.get(HEAD_KEY)
  const published = found === null ? null : trustOwn(found.toString('utf8'), keys)
  if (published !== null) await continues(control, head.size, published, `bucket ${bucket.name}`)
  const from = published?.size ?? 0
  const put = (key: string, body: Buffer, contentType = 'application/octet-stream') =>
    bucket.put(key, body, { contentType, lockedUntil })
  for (const tile of newTiles(from, head.size)) {
    const hashes = await storedTile(control, tile)
    if (tile.level === 0) {
      const entries = await storedEntries(control, tile.tile * WIDTH, tile.width)
      // What is locked can't be mended: nothing goes there that the tree doesn't stand on.
      if (!Buffer.concat(entries.map(leafHash)).equals(hashes))
        throw new LetheError('E_EVIDENCE_BROKEN', {
          message: `Nothing is published: entries from ${tile.tile * WIDTH} on are not those of the tree.`,
          facts: { kind: 'edited', tile: tile.tile },
        })
      await put(bundlePath(tile.tile, tile.width), bundle(entries))
    }
    await put(tilePath(tile), hashes)
  }
  const text = 'text/plain; charset=utf-8'
  await put(`checkpoints/${head.size}/${head.at.toISOString()}`, Buffer.from(head.note), text)
  await put(HEAD_KEY, Buffer.from(head.note), text)
  await control.execute(
    `UPDATE lethe_control.evidence_checkpoints SET published_at = clock_timestamp()
     WHERE published_at IS NULL AND size <= $1`,
    [head.size],
  )
  return head
}

function trustOwn(text: string, keys: LogKeys): TrustedCheckpoint {
  return trustCheckpoint(text, keys.origin, verifierKeys(keys))
}

/** Throws E_EVIDENCE_BROKEN where `earlier` is no prefix of the tree of `size` leaves that the control database holds. */
async function continues(
  control: Database,
  size: number,
  earlier: TrustedCheckpoint,
  where: string,
): Promise<void> {
  if (earlier.size > size)
    throw new LetheError('E_EVIDENCE_BROKEN', {
      message: `The control database holds ${size} entries of the evidence log, ${where} was signed for ${earlier.size}: it was taken back in time, or its end was cut off.`,
      facts: { kind: 'tail-cut', size, signed: earlier.size },
    })
  const root = await rootOf(earlier.size, storedNodes(control, size))
  if (!root.equals(earlier.root))
    throw new LetheError('E_EVIDENCE_BROKEN', {
      message: `The first ${earlier.size} entries of the evidence log are not those that ${where} was signed for: the log was rewritten or forked.`,
      facts: { kind: 'rewritten', size: earlier.size },
    })
}

/** A person has typed back the period for which objects are locked. */
export async function recordLock(control: Queryable, period: string): Promise<void> {
  await control.execute(`UPDATE lethe_control.evidence_log SET locked_for = $1`, [period])
}
