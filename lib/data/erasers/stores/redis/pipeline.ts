/** Commands of one key each, sent in pipelines to the node that has the key: one that fails doesn't take others along. */
import { failureOf, type Failure } from './failure.ts'
import type { Node, Nodes } from './nodes.ts'

export type Reply = { value: unknown } | { failure: Failure }

/** Items that may still be removed in this call. */
export interface Budget {
  left: number
}

export interface Sending {
  signal: AbortSignal
  /** Absent where nothing is removed. */
  budget?: Budget
  /** Commands in one pipeline at most. */
  size?: number
}

const pipelineSize = 500

/** False where the budget was used up before every item had its turn. Checks the signal before each pipeline. */
export async function send<T extends { key: string }>(
  nodes: Nodes,
  items: readonly T[],
  command: (item: T, key: Buffer) => unknown[],
  sending: Sending,
  take: (item: T, reply: Reply) => void,
): Promise<boolean> {
  const { signal, budget, size = pipelineSize } = sending
  for (const [node, mine] of Map.groupBy(items, ({ key }) => nodes.of(key)))
    for (let at = 0; at < mine.length;) {
      signal.throwIfAborted()
      if (budget !== undefined && budget.left <= 0) return false
      const chunk = mine.slice(at, at + Math.min(size, budget?.left ?? size))
      const commands = chunk.map((item) => command(item, toBytes(item.key)))
      for (const [place, reply] of (await ask(node, commands)).entries()) {
        const item = chunk[place]
        if (item !== undefined) take(item, reply)
      }
      at += chunk.length
    }
  return true
}

export function toBytes(binary: string): Buffer {
  return Buffer.from(binary, 'latin1')
}

async function ask(node: Node, commands: unknown[][]): Promise<Reply[]> {
  const lost = (failure: Failure) => commands.map(() => ({ failure }))
  if (node.lost !== null) return lost(node.lost)
  try {
    const replies = (await node.redis.pipeline(commands).exec()) ?? []
    return replies.map(([error, value]) => {
      if (error === null) return { value }
      if (error.name !== 'ReplyError') node.lost = failureOf(error)
      return { failure: failureOf(error) }
    })
  } catch (error) {
    node.lost = failureOf(error)
    return lost(node.lost)
  }
}
