/**
 * The Merkle tree of RFC 6962, section 2.1: SHA-256, leaves and nodes told apart by a first byte. Pure functions over a
 * reader of complete subtrees, so that the same proofs come out of memory, the control database or a bucket of tiles.
 */
import { hash as digest } from 'node:crypto'

/** Bytes of a hash. */
export const HASH = 32

/** The hash of a tree without leaves. */
export const emptyRoot: Buffer = digest('sha256', '', 'buffer')

/**
 * The hash of the complete subtree of `2 ** level` leaves that begins at leaf `index * 2 ** level`. Only asked for
 * subtrees that lie whole inside the tree.
 */
export type NodeReader = (level: number, index: number) => Promise<Buffer>

// A hash in one call costs half of one in three, and a log is little but hashes.
const node = Buffer.alloc(1 + 2 * HASH, 1)

export function leafHash(entry: Uint8Array): Buffer {
  return digest('sha256', Buffer.concat([Buffer.of(0), entry]), 'buffer')
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  node.set(left, 1)
  node.set(right, 1 + HASH)
  return digest('sha256', node, 'buffer')
}

/** The root of the first `size` leaves. */
export async function rootOf(size: number, node: NodeReader): Promise<Buffer> {
  return size === 0 ? emptyRoot : rangeHash(0, size, node)
}

/** The audit path of leaf `index` in the tree of the first `size` leaves, lowest sibling first. */
export async function inclusionProof(index: number, size: number, node: NodeReader): Promise<Buffer[]> {
  const path = async (lo: number, hi: number): Promise<Buffer[]> => {
    if (hi - lo === 1) return []
    const middle = lo + split(hi - lo)
    return index < middle
      ? [...(await path(lo, middle)), await rangeHash(middle, hi, node)]
      : [...(await path(middle, hi)), await rangeHash(lo, middle, node)]
  }
  return path(0, size)
}

/** That the tree of the first `old` leaves is a prefix of the tree of the first `size`; 0 < old ≤ size. */
export async function consistencyProof(old: number, size: number, node: NodeReader): Promise<Buffer[]> {
  const proof = async (lo: number, hi: number, known: boolean): Promise<Buffer[]> => {
    if (old === hi) return known ? [] : [await rangeHash(lo, hi, node)]
    const middle = lo + split(hi - lo)
    return old <= middle
      ? [...(await proof(lo, middle, known)), await rangeHash(middle, hi, node)]
      : [...(await proof(middle, hi, false)), await rangeHash(lo, middle, node)]
  }
  return proof(0, size, true)
}

/** The root that an audit path leads to; null where the path is too short or too long for such a tree. */
export function rootFromInclusion(
  index: number,
  size: number,
  leaf: Uint8Array,
  path: readonly Uint8Array[],
): Buffer | null {
  if (index < 0 || index >= size) return null
  let [at, last] = [index, size - 1]
  let hash: Buffer = Buffer.from(leaf)
  for (const sibling of path) {
    if (last === 0) return null
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(sibling, hash)
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)]
    } else {
      hash = nodeHash(hash, sibling)
    }
    ;[at, last] = [Math.floor(at / 2), Math.floor(last / 2)]
  }
  return last === 0 ? hash : null
}

/** The two roots that a consistency proof leads to; null where it is too short or too long for such trees. */
export function rootsFromConsistency(
  old: number,
  size: number,
  oldRoot: Uint8Array,
  proof: readonly Uint8Array[],
): { old: Buffer; new: Buffer } | null {
  if (old <= 0 || old > size) return null
  if (old === size)
    return proof.length === 0 ? { old: Buffer.from(oldRoot), new: Buffer.from(oldRoot) } : null
  const hashes = isPowerOfTwo(old) ? [oldRoot, ...proof] : [...proof]
  const first = hashes.shift()
  if (first === undefined) return null
  let [at, last] = [old - 1, size - 1]
  while (at % 2 === 1) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)]
  let left: Buffer = Buffer.from(first)
  let right: Buffer = left
  for (const sibling of hashes) {
    if (last === 0) return null
    if (at % 2 === 1 || at === last) {
      left = nodeHash(sibling, left)
      right = nodeHash(sibling, right)
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)]
    } else {
      right = nodeHash(right, sibling)
    }
    ;[at, last] = [Math.floor(at / 2), Math.floor(last / 2)]
  }
  return last === 0 ? { old: left, new: right } : null
}

/** The hash of leaves [lo, hi), where lo is a multiple of the largest power of two that fits. */
async function rangeHash(lo: number, hi: number, node: NodeReader): Promise<Buffer> {
  const width = hi - lo
  if (isPowerOfTwo(width)) return node(Math.log2(width), lo / width)
  const middle = lo + split(width)
  return nodeHash(await rangeHash(lo, middle, node), await rangeHash(middle, hi, node))
}

/** The largest power of two below `n`; n > 1. */
function split(n: number): number {
  return 2 ** Math.floor(Math.log2(n - 1))
}

function isPowerOfTwo(n: number): boolean {
  return Number.isInteger(Math.log2(n))
}
