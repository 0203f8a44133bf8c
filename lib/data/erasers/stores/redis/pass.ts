/** One pass over the keyspace for all subjects of a call: SCAN, node by node, and a look at each key it names. */
import type { Redis } from 'ioredis'
import { failureOf } from './failure.ts'
import type { Node, Nodes } from './nodes.ts'
import { toBytes } from './pipeline.ts'
import type { KeyTarget, ScanTarget } from './targets.ts'

/** Where a pass goes on: a node's place among the nodes, and its cursor. */
export interface Position {
  node: number
  cursor: string
}

export interface Pass {
  signal: AbortSignal
  count: number
  /** Keys that begin with it are none of a subject's: Lethe's own. */
  own: string
  from: Position | null
  /** A key may come twice. False: stop; the pass goes on later with these keys. */
  take(hits: readonly KeyTarget[]): Promise<boolean>
}

/** Null when every node that answers was read to its end. A node that stops answering is marked lost and passed over. */
export async function scanPass(
  nodes: Nodes,
  scans: readonly ScanTarget[],
  pass: Pass,
): Promise<Position | null> {
  if (scans.length === 0) return null
  const glob = globFor(scans)
  let { node: place, cursor } = pass.from ?? { node: 0, cursor: '0' }
  for (const node of nodes.all.slice(place)) {
    while (isThere(node)) {
      pass.signal.throwIfAborted()
      const batch = await scan(node, cursor, glob, pass.count)
      if (batch === null) break
      const hits = batch.keys.flatMap((key) => targetAt(key, scans, pass.own))
      if (hits.length > 0 && !(await pass.take(hits))) return { node: place, cursor }
      cursor = batch.next
      if (cursor === '0') break
    }
    place += 1
    cursor = '0'
  }
  return null
}

function isThere(node: Node): boolean {
  return node.lost === null
}

async function scan(node: Node, cursor: string, glob: string, count: number) {
  try {
    const [next, keys] = await scanBuffer(node.redis, cursor, glob, count)
    return { next: next.toString(), keys: keys.map((key) => key.toString('latin1')) }
  } catch (error) {
    node.lost = failureOf(error)
    return null
  }
}

function scanBuffer(redis: Redis, cursor: string, glob: string, count: number) {
  return glob === '*'
    ? redis.scanBuffer(cursor, 'COUNT', count)
    : redis.scanBuffer(cursor, 'MATCH', toBytes(glob).toString('utf8'), 'COUNT', count)
}

/** Of the first place that it belongs to, and of all its subjects. */
function targetAt(key: string, scans: readonly ScanTarget[], own: string): KeyTarget[] {
  if (key.startsWith(own)) return []
  const hits = scans
    .map(({ place, template, wanted }) => ({ place, key, subjects: template.owners(key, wanted) }))
    .filter(({ subjects }) => subjects.size > 0)
  const [first, ...others] = hits
  if (first === undefined) return []
  for (const { subjects } of others) for (const subject of subjects) first.subjects.add(subject)
  return [first]
}

/** What the server may leave out already: all but one subject's keys, or all but one form of keys. We look again. */
function globFor(scans: readonly ScanTarget[]): string {
  const [only, ...others] = scans
  if (only === undefined || others.length > 0) return '*'
  const [values, ...more] = only.wanted.keys()
  return only.template.glob(values === undefined || more.length > 0 ? null : values)
}
