/** A tree that only grows needs no more than the roots of its complete subtrees. */
import { emptyRoot, nodeHash, type NodeReader } from './merkle.ts'

export class Frontier {
  size = 0
  /** Largest first. */
  readonly #subtrees: { leaves: number; hash: Buffer }[] = []

  /** The frontier of the tree of `size` leaves whose nodes `node` reads. */
  static async at(size: number, node: NodeReader): Promise<Frontier> {
    const frontier = new Frontier()
    for (let level = Math.floor(Math.log2(Math.max(size, 1))); level >= 0; level -= 1) {
      const leaves = 2 ** level
      if (frontier.size + leaves > size) continue
      frontier.#subtrees.push({ leaves, hash: await node(level, frontier.size / leaves) })
      frontier.size += leaves
    }
    return frontier
  }

  add(leaf: Buffer): void {
    let grown = { leaves: 1, hash: leaf }
    for (let last = this.#subtrees.at(-1); last?.leaves === grown.leaves; last = this.#subtrees.at(-1)) {
      grown = { leaves: last.leaves * 2, hash: nodeHash(last.hash, grown.hash) }
      this.#subtrees.pop()
    }
    this.#subtrees.push(grown)
    this.size += 1
  }

  root(): Buffer {
    const [smallest, ...larger] = this.#subtrees.toReversed()
    if (smallest === undefined) return emptyRoot
    return larger.reduce((hash, subtree) => nodeHash(subtree.hash, hash), smallest.hash)
  }
}
