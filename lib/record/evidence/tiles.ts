/**
 * The layout of C2SP tlog-tiles: the tree as runs of 256 hashes, each level holding the roots of the full tiles below, and
 * the entries as bundles of 256. Static files, so that any verifier of that format reads them.
 */
import { HASH, nodeHash, type NodeReader } from './merkle.ts'

/** Hashes in a full tile; the tile stands for a subtree of height 8. */
export const WIDTH = 256
const HEIGHT = 8

export interface Tile {
  level: number
  /** Number of the tile within its level. */
  tile: number
  /** Hashes in it, 1 to 256. */
  width: number
}

/** `tile/0/x001/234.p/7`; the part behind `.p/` where the tile isn't full. */
export function tilePath({ level, tile, width }: Tile): string {
  return `tile/${level}/${tileNumber(tile)}${partial(width)}`
}

/** `tile/entries/x001/234`, by the same rules. */
export function bundlePath(tile: number, width: number): string {
  return `tile/entries/${tileNumber(tile)}${partial(width)}`
}

/** Every tile that a tree of `size` leaves has and one of `old` leaves had not, lowest level first. */
export function newTiles(old: number, size: number): Tile[] {
  const tiles: Tile[] = []
  for (let level = 0; ; level += 1) {
    const [had, has] = [hashesAt(level, old), hashesAt(level, size)]
    if (has === 0) return tiles
    for (let start = had - (had % WIDTH); start < has; start += WIDTH) {
      const width = Math.min(WIDTH, has - start)
      if (start + width > had) tiles.push({ level, tile: start / WIDTH, width })
    }
  }
}

/** Hashes that a tree of `size` leaves has on a level of tiles. */
export function hashesAt(level: number, size: number): number {
  return Math.floor(size / WIDTH ** level)
}

/** A tree that grows at its end. `begun` gives the last, unfinished tile of a level; each full tile adds to the level above. */
export class GrowingTiles {
  readonly #levels: { tile: number; width: number; hashes: Buffer }[] = []
  readonly #full: (Tile & { hashes: Buffer })[] = []
  readonly #grown = new Set<number>()

  constructor(size: number, begun: (level: number) => Uint8Array) {
    for (let level = 0; hashesAt(level, size) > 0; level += 1) {
      const had = hashesAt(level, size)
      const hashes = Buffer.alloc(WIDTH * HASH)
      hashes.set(begun(level).subarray(0, (had % WIDTH) * HASH))
      this.#levels.push({ tile: Math.floor(had / WIDTH), width: had % WIDTH, hashes })
    }
  }

  add(leaf: Buffer): void {
    this.#add(0, leaf)
  }

  #add(level: number, hash: Buffer): void {
    const at = (this.#levels[level] ??= { tile: 0, width: 0, hashes: Buffer.alloc(WIDTH * HASH) })
    at.hashes.set(hash, at.width * HASH)
    at.width += 1
    this.#grown.add(level)
    if (at.width < WIDTH) return
    this.#full.push({ level, tile: at.tile, width: WIDTH, hashes: at.hashes })
    this.#levels[level] = { tile: at.tile + 1, width: 0, hashes: Buffer.alloc(WIDTH * HASH) }
    this.#add(level + 1, subtree(at.hashes, 0, WIDTH))
  }

  /** The tiles that are full by now; each is given once. */
  takeFull(): (Tile & { hashes: Buffer })[] {
    return this.#full.splice(0)
  }

  /** Every other tile that has grown, as it is now. */
  changed(): (Tile & { hashes: Buffer })[] {
    const begun = this.#levels.flatMap(({ tile, width, hashes }, level) =>
      width > 0 && this.#grown.has(level)
        ? [{ level, tile, width, hashes: hashes.subarray(0, width * HASH) }]
        : [],
    )
    return [...this.#full, ...begun]
  }
}

/**
 * Reads nodes out of tiles. `read` gives the bytes of a tile that holds at least `width` hashes; each tile is asked for
 * once while it stays among the last few.
 */
export function nodesFromTiles(read: (tile: Tile) => Promise<Uint8Array>, size: number): NodeReader {
  const kept = new Map<string, Promise<Uint8Array>>()
  const tileOf = (level: number, tile: number): Promise<Uint8Array> => {
    const width = Math.min(WIDTH, hashesAt(level, size) - tile * WIDTH)
    const name = `${level}/${tile}`
    const known = kept.get(name)
    if (known !== undefined) return known
    const [oldest] = kept.keys()
    if (kept.size >= 64 && oldest !== undefined) kept.delete(oldest)
    const asked = read({ level, tile, width })
    kept.set(name, asked)
    return asked
  }
  return async (level, index) => {
    const count = 2 ** (level % HEIGHT)
    const start = index * count
    const tile = Math.floor(start / WIDTH)
    const hashes = await tileOf(Math.floor(level / HEIGHT), tile)
    return subtree(hashes, start % WIDTH, count)
  }
}

/** The root over `count` (a power of two) hashes from place `start`. */
function subtree(hashes: Uint8Array, start: number, count: number): Buffer {
  const level = Buffer.from(hashes.subarray(start * HASH, (start + count) * HASH))
  for (let width = count; width > 1; width /= 2)
    for (let node = 0; node < width / 2; node += 1) {
      const pair = level.subarray(node * 2 * HASH, (node * 2 + 2) * HASH)
      level.set(nodeHash(pair.subarray(0, HASH), pair.subarray(HASH)), node * HASH)
    }
  return level.subarray(0, HASH)
}

/** Entries of a bundle: each behind its length in two bytes, big-endian. */
export function bundle(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(entry.length)
      return [length, entry]
    }),
  )
}

/** Null where the last entry is cut off. */
export function entriesOf(bytes: Buffer): Buffer[] | null {
  const entries: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    if (at + 2 > bytes.length) return null
    const end = at + 2 + bytes.readUInt16BE(at)
    if (end > bytes.length) return null
    entries.push(bytes.subarray(at + 2, end))
    at = end
  }
  return entries
}

function tileNumber(tile: number): string {
  const last = String(tile % 1000).padStart(3, '0')
  return tile < 1000 ? last : `${above(Math.floor(tile / 1000))}/${last}`
}

function above(number: number): string {
  const part = `x${String(number % 1000).padStart(3, '0')}`
  return number < 1000 ? part : `${above(Math.floor(number / 1000))}/${part}`
}

function partial(width: number): string {
  return width === WIDTH ? '' : `.p/${width}`
}
