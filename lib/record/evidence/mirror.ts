/**
 * Verifies a copy of the bucket, offline and by the public keys alone: every entry is hashed, every tile compared with the
 * tree they make, every signed head in it with that tree. Contents are not in it; they are proved one by one.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Frontier } from './frontier.ts'
import { readHead, type Trust } from './heads.ts'
import { emptyRoot, HASH, leafHash } from './merkle.ts'
import { HEAD_KEY } from './publish.ts'
import { bundlePath, entriesOf, GrowingTiles, tilePath, WIDTH } from './tiles.ts'
import type { Break, BreakKind, Verification } from './verify.ts'

/** `folder`: what lies under the bucket's prefix (`aws s3 sync`). Missing and short files are breaks, not errors. */
export async function verifyMirror(folder: string, trust: Trust): Promise<Verification> {
  const breaks: Break[] = []
  const found = (kind: BreakKind, at: number, message: string) => {
    if (breaks.length < 100) breaks.push({ kind, at, message })
  }
  const read = (path: string) => readFile(join(folder, path)).catch(() => null)
  const heads = await headsIn(folder, trust, found)
  const size = Math.max(0, ...heads.map((head) => head.size))
  const wanted = new Set(heads.map((head) => head.size))
  const roots = new Map([[0, emptyRoot]])
  const tree = new Frontier()
  const tiles = new GrowingTiles(0, () => Buffer.alloc(0))
  for (let tile = 0; tile * WIDTH < size; tile += 1) {
    const width = Math.min(WIDTH, size - tile * WIDTH)
    const path = bundlePath(tile, width)
    const entries = entriesOf((await read(path)) ?? Buffer.alloc(0))
    if (entries?.length !== width) {
      found('missing', tile * WIDTH, `${path} is not there, or doesn't hold its ${width} entries whole.`)
      break
    }
    for (const entry of entries) {
      const leaf = leafHash(entry)
      tree.add(leaf)
      tiles.add(leaf)
      if (wanted.has(tree.size)) roots.set(tree.size, tree.root())
    }
    for (const full of tiles.takeFull()) await compare(full)
  }
  if (tree.size === size) for (const tile of tiles.changed()) await compare(tile)

  async function compare({
    hashes,
    ...tile
  }: {
    level: number
    tile: number
    width: number
    hashes: Buffer
  }) {
    const path = tilePath(tile)
    const stored = await read(path)
    if (stored === null) found('missing', tile.tile, `${path} is not there.`)
    else if (!stored.equals(hashes))
      found(
        'tiles',
        tile.tile,
        stored.length === hashes.length
          ? `${path} is not the tree of the entries.`
          : `${path} holds ${stored.length / HASH} hashes; ${tile.width} belong to it.`,
      )
  }

  for (const head of heads) {
    const root = roots.get(head.size)
    if (root === undefined)
      found('missing', head.size, `A head was signed for ${head.size} entries; ${tree.size} are there.`)
    else if (!root.equals(head.root))
      found(
        'rewritten',
        head.size,
        `The first ${head.size} entries are not those the head was signed for: the log was rewritten or forked.`,
      )
  }
  return { from: 0, entries: tree.size, aged: 0, heads: heads.length, breaks }
}

/** The newest head and every earlier one, as far as they can be believed. */
async function headsIn(
  folder: string,
  trust: Trust,
  found: (kind: BreakKind, at: number, message: string) => void,
) {
  const earlier = await readdir(join(folder, 'checkpoints'), { recursive: true, withFileTypes: true }).catch(
    () => [],
  )
  const files = [
    join(folder, HEAD_KEY),
    ...earlier.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)),
  ]
  const heads = []
  for (const file of files) {
    const head = readHead(await readFile(file, 'utf8').catch(() => ''), trust)
    if (typeof head === 'string') found('signature', 0, `${file}: ${head}`)
    else heads.push(head)
  }
  const inOrder = heads.toSorted((a, b) => a.size - b.size || a.at.getTime() - b.at.getTime())
  for (const [n, head] of inOrder.entries()) {
    const before = inOrder[n - 1]
    if (before !== undefined && head.at < before.at)
      found('clock', head.size, `The head at ${head.size} entries was signed before the one it follows.`)
  }
  return inOrder
}
