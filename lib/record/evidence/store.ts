/** The tree in the control database: tiles that grow in the sequencer's transaction, read back for roots and proofs. */
import { z } from 'zod'
import type { Queryable, Transaction } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { HASH, type NodeReader } from './merkle.ts'
import { GrowingTiles, hashesAt, nodesFromTiles, WIDTH, type Tile } from './tiles.ts'

/** The tiles of a tree of `size` leaves, ready to grow. */
export async function growingTiles(db: Queryable, size: number): Promise<GrowingTiles> {
  const begun = new Map<number, Buffer>()
  for (let level = 0; hashesAt(level, size) > 0; level += 1) {
    const [tile, width] = [Math.floor(hashesAt(level, size) / WIDTH), hashesAt(level, size) % WIDTH]
    if (width > 0) begun.set(level, await storedTile(db, { level, tile, width }))
  }
  return new GrowingTiles(size, (level) => begun.get(level) ?? Buffer.alloc(0))
}

export async function storeTiles(
  tx: Transaction,
  tiles: readonly (Tile & { hashes: Buffer })[],
): Promise<void> {
  await tx.execute(
    `INSERT INTO lethe_control.evidence_tiles AS t (level, tile, hashes)
     SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
     ON CONFLICT (level, tile) DO UPDATE SET hashes = EXCLUDED.hashes`,
    [tiles.map((one) => one.level), tiles.map((one) => one.tile), tiles.map((one) => one.hashes)],
  )
}

/** The nodes of the tree of the first `size` leaves. Throws E_EVIDENCE_BROKEN where a tile is missing or short. */
export function storedNodes(db: Queryable, size: number): NodeReader {
  return nodesFromTiles(async (tile) => storedTile(db, tile), size)
}

/** The first `width` hashes of a tile. */
export async function storedTile(db: Queryable, { level, tile, width }: Tile): Promise<Buffer> {
  const hashes = await readTile(db, level, tile)
  if (hashes.length >= width * HASH) return hashes.subarray(0, width * HASH)
  throw new LetheError('E_EVIDENCE_BROKEN', {
    message: `Tile ${level}/${tile} of the evidence log holds ${hashes.length / HASH} hashes; ${width} belong to it.`,
    facts: { level, tile, width },
  })
}

/** Entries from index `first` on, as the tree hashes them. */
export async function storedEntries(db: Queryable, first: number, count: number): Promise<Buffer[]> {
  const rows = await db.query(
    z.object({ entry: z.instanceof(Buffer) }),
    `SELECT entry FROM lethe_control.evidence_entries WHERE index >= $1 AND index < $2 ORDER BY index`,
    [first, first + count],
  )
  if (rows.length === count) return rows.map((row) => row.entry)
  throw new LetheError('E_EVIDENCE_BROKEN', {
    message: `Of the ${count} entries from index ${first} on, ${rows.length} are there.`,
    facts: { first, count, found: rows.length },
  })
}

async function readTile(db: Queryable, level: number, tile: number): Promise<Buffer> {
  const [row] = await db.query(
    z.object({ hashes: z.instanceof(Buffer) }),
    `SELECT hashes FROM lethe_control.evidence_tiles WHERE level = $1 AND tile = $2`,
    [level, tile],
  )
  return row?.hashes ?? Buffer.alloc(0)
}

/** The one row of lethe_control.evidence_log was deleted: only an owner of the table can have done it. */
export function missingLog(): LetheError {
  return new LetheError('E_INTERNAL', { message: 'The row of the evidence log is missing.' })
}
