/** Members of collections that many subjects share: how one is found and taken out depends on what the key holds. */
import type { Failure } from './failure.ts'
import type { Nodes } from './nodes.ts'
import { send, toBytes, type Budget, type Reply } from './pipeline.ts'
import type { MemberTarget } from './targets.ts'

export type Command = [string, ...(string | Buffer | number)[]]

interface Kind {
  look(key: Buffer, value: Buffer): Command
  /** How many that answer stands for. */
  count(answer: unknown): number
  remove(key: Buffer, value: Buffer, most: number): Command
}

const oneOrNone = (answer: unknown) => (answer === null ? 0 : 1)
const kinds: Readonly<Record<string, Kind>> = {
  set: { look: (k, v) => ['sismember', k, v], count: Number, remove: (k, v) => ['srem', k, v] },
  zset: { look: (k, v) => ['zscore', k, v], count: oneOrNone, remove: (k, v) => ['zrem', k, v] },
  hash: { look: (k, v) => ['hexists', k, v], count: Number, remove: (k, v) => ['hdel', k, v] },
  list: {
    look: (k, v) => ['lpos', k, v, 'COUNT', 0],
    count: (answer) => (Array.isArray(answer) ? answer.length : 0),
    remove: (k, v, most) => ['lrem', k, most, v],
  },
}

/** What a member of such a key is looked for and taken out with; nothing where it has no members, or isn't there. */
export function commandsOf(type: string, key: Buffer, value: string): Command[] {
  const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined
  return kind === undefined ? [] : [kind.look(key, toBytes(value)), kind.remove(key, toBytes(value), 1)]
}

interface TypedMember extends MemberTarget {
  type: string
}

/** Members whose key exists, with its type. What has no members, or isn't told, goes to `refuse`. */
export async function typeMembers(
  nodes: Nodes,
  members: readonly MemberTarget[],
  signal: AbortSignal,
  refuse: (member: MemberTarget, failure: Failure) => void,
): Promise<TypedMember[]> {
  const types = new Map<string, Reply>()
  const keys = [...new Set(members.map(({ key }) => key))].map((key) => ({ key }))
  await send(
    nodes,
    keys,
    (_, key) => ['type', key],
    { signal },
    ({ key }, reply) => types.set(key, reply),
  )
  return members.flatMap((member) => {
    const reply = types.get(member.key)
    if (reply === undefined || 'failure' in reply) {
      refuse(member, reply?.failure ?? { word: 'no answer', passing: true })
      return []
    }
    const type = String(reply.value)
    if (type === 'none') return []
    if (Object.hasOwn(kinds, type)) return [{ ...member, type }]
    refuse(member, { word: 'the key has no members', passing: false })
    return []
  })
}

export function countMembers(
  nodes: Nodes,
  members: readonly TypedMember[],
  signal: AbortSignal,
  take: (member: TypedMember, found: number | Failure) => void,
): Promise<boolean> {
  const look = (member: TypedMember, key: Buffer) =>
    kinds[member.type]?.look(key, toBytes(member.value)) ?? []
  return send(nodes, members, look, { signal }, (member, reply) =>
    take(member, 'failure' in reply ? reply.failure : (kinds[member.type]?.count(reply.value) ?? 0)),
  )
}

/** False where the budget ended first. A list gives as many equal elements as the budget has left, one list a call. */
export async function removeMembers(
  nodes: Nodes,
  members: readonly TypedMember[],
  budget: Budget,
  signal: AbortSignal,
  take: (member: TypedMember, removed: number | Failure) => void,
): Promise<boolean> {
  const remove = (member: TypedMember, key: Buffer) =>
    kinds[member.type]?.remove(key, toBytes(member.value), budget.left) ?? []
  let whole = true
  for (const [isList, some] of Map.groupBy(members, ({ type }) => type === 'list')) {
    const sending = { signal, budget, ...(isList ? { size: 1 } : {}) }
    const done = await send(nodes, some, remove, sending, (member, reply) => {
      const removed = 'failure' in reply ? reply.failure : Number(reply.value)
      take(member, removed)
      if (isList && budget.left <= 0) whole = false
    })
    whole &&= done
  }
  return whole
}
