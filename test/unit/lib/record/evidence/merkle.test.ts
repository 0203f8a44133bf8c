import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  consistencyProof,
  emptyRoot,
  inclusionProof,
  leafHash,
  nodeHash,
  rootFromInclusion,
  rootOf,
  rootsFromConsistency,
  type NodeReader,
} from '../../../../../lib/record/evidence/merkle.ts'
import {
  hashesAt,
  newTiles,
  nodesFromTiles,
  tilePath,
  WIDTH,
} from '../../../../../lib/record/evidence/tiles.ts'

const leaves = Array.from({ length: 600 }, (_, n) => leafHash(Buffer.from(`leaf ${n}`)))

/** RFC 6962, section 2.1, word for word. */
function mth(lo: number, hi: number): Buffer {
  if (hi === lo) return createHash('sha256').digest()
  if (hi - lo === 1) return leaves[lo] ?? Buffer.alloc(0)
  let k = 1
  while (k * 2 < hi - lo) k *= 2
  return nodeHash(mth(lo, lo + k), mth(lo + k, hi))
}
const node: NodeReader = (level, index) => Promise.resolve(mth(index * 2 ** level, (index + 1) * 2 ** level))
const sizes = fc.integer({ min: 1, max: leaves.length })

describe('the tree', () => {
  test('has the known roots of RFC 6962 test data', async () => {
    const data = [
      '',
      '00',
      '10',
      '2021',
      '3031',
      '40414243',
      '5051525354555657',
      '606162636465666768696a6b6c6d6e6f',
    ]
    const hashes = data.map((hex) => leafHash(Buffer.from(hex, 'hex')))
    const at = (lo: number, hi: number): Buffer => {
      if (hi - lo === 1) return hashes[lo] ?? Buffer.alloc(0)
      let k = 1
      while (k * 2 < hi - lo) k *= 2
      return nodeHash(at(lo, lo + k), at(lo + k, hi))
    }
    const read: NodeReader = (level, index) =>
      Promise.resolve(at(index * 2 ** level, (index + 1) * 2 ** level))
    expect((await rootOf(1, read)).toString('hex')).toBe(
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    )
    expect((await rootOf(8, read)).toString('hex')).toBe(
      '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
    )
    expect(emptyRoot.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  })

  test('proves each of its leaves, and none at another place, in another tree or by another path', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), fc.nat(), async (size, pick, bent) => {
        const index = pick % size
        const path = await inclusionProof(index, size, node)
        const root = await rootOf(size, node)
        const leaf = leaves[index] ?? Buffer.alloc(0)
        expect(root).toEqual(mth(0, size))
        expect(rootFromInclusion(index, size, leaf, path)).toEqual(root)
        const other = bent % size
        if (other !== index) expect(rootFromInclusion(other, size, leaf, path)).not.toEqual(root)
        expect(rootFromInclusion(index, size, leaf, [...path, root])).not.toEqual(root)
        if (path.length > 0) expect(rootFromInclusion(index, size, leaf, path.slice(1))).not.toEqual(root)
      }),
      { numRuns: 300 },
    )
  })

  test('proves that it grew from each smaller one, and from no other', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), async (size, pick) => {
        const old = 1 + (pick % size)
        const proof = await consistencyProof(old, size, node)
        const [oldRoot, root] = [mth(0, old), mth(0, size)]
        expect(rootsFromConsistency(old, size, oldRoot, proof)).toEqual({ old: oldRoot, new: root })
        const stranger = leafHash(Buffer.from('stranger'))
        if (old < size) {
          const found = rootsFromConsistency(old, size, stranger, proof)
          expect(found === null || !found.old.equals(stranger) || !found.new.equals(root)).toBe(true)
        }
        expect(rootsFromConsistency(old, size, oldRoot, [...proof, stranger])).not.toEqual({
          old: oldRoot,
          new: root,
        })
      }),
      { numRuns: 300 },
    )
  })
})

describe('tiles', () => {
  test('carry the same tree', async () => {
    const size = leaves.length
    const read = nodesFromTiles(({ level, tile, width }) => {
      const hashes = Array.from({ length: width }, (_, n) => {
        const at = (tile * WIDTH + n) * WIDTH ** level
        return mth(at, at + WIDTH ** level)
      })
      return Promise.resolve(Buffer.concat(hashes))
    }, size)
    expect(await rootOf(size, read)).toEqual(mth(0, size))
    expect(await inclusionProof(17, size, read)).toEqual(await inclusionProof(17, size, node))
  })

  test('of a tree of 70,000 leaves are those that the specification counts', () => {
    const tiles = newTiles(0, 70_000)
    const of = (level: number, full: boolean) =>
      tiles.filter((tile) => tile.level === level && (tile.width === WIDTH) === full)
    expect(of(0, true)).toHaveLength(273)
    expect(of(0, false)).toEqual([{ level: 0, tile: 273, width: 112 }])
    expect(of(1, true)).toEqual([{ level: 1, tile: 0, width: 256 }])
    expect(of(1, false)).toEqual([{ level: 1, tile: 1, width: 17 }])
    expect(of(2, false)).toEqual([{ level: 2, tile: 0, width: 1 }])
    expect(hashesAt(1, 256)).toBe(1)
    expect(newTiles(256, 257)).toEqual([{ level: 0, tile: 1, width: 1 }])
  })

  test('lie where the specification puts them', () => {
    expect(tilePath({ level: 0, tile: 1_234_067, width: 256 })).toBe('tile/0/x001/x234/067')
    expect(tilePath({ level: 3, tile: 5, width: 7 })).toBe('tile/3/005.p/7')
  })
})
