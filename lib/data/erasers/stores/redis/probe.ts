/**
 * Whether later calls could work, asked with keys that nobody has. The right to remove is asked for by queueing the
 * command in a transaction that is discarded: the server checks rights when it queues, and nothing is done.
 */
import { expand, ofNobody } from '../../../datamap/index.ts'
import { commandsOf, type Command } from './members.ts'
import { attempt, openNodes, type Node, type Nodes, type RedisEraserSettings } from './nodes.ts'
import { toBytes } from './pipeline.ts'
import { templatesOf, type RedisPlan } from './plan.ts'
import { whileSteady } from './steady.ts'
import { targetsOf } from './targets.ts'
import { toBinary } from './template.ts'

/** Throws E_CONFIG for the plan, E_STORE_REFUSED where a right is missing, E_STORE_UNAVAILABLE where a node is away. */
export async function probe(
  settings: RedisEraserSettings,
  own: string,
  plan: RedisPlan,
  signal: AbortSignal,
): Promise<void> {
  const identifiers = ofNobody(plan.places.flatMap(templatesOf))
  const { keys, members } = targetsOf(plan, [{ kind: 'nobody', key: [], identifiers }], own)
  const scanned = plan.places.flatMap((place) =>
    'scan' in place ? expand(place.scan.replaceAll('*', ''), identifiers).map(toBinary) : [],
  )
  const nodes = await openNodes(settings)
  const ask = async (key: string, call: (node: Node, key: Buffer) => Promise<unknown>) => {
    signal.throwIfAborted()
    return attempt(settings, nodes.of(key), (node) => call(node, toBytes(key)))
  }
  try {
    await whileSteady(settings, nodes, async () => {
      await askEach(settings, nodes, scanned.length > 0 ? ['SCAN', '0', 'COUNT', '1'] : ['HELLO'])
      for (const { key } of keys) await ask(key, ({ redis }, bytes) => redis.call('EXISTS', bytes))
      for (const key of [...keys.map(({ key }) => key), ...scanned])
        await ask(key, (node, bytes) => rehearse(node, ['UNLINK', bytes]))
      for (const { key, value } of members) {
        const type = String(await ask(key, ({ redis }, bytes) => redis.call('TYPE', bytes)))
        for (const command of commandsOf(type, toBytes(key), value))
          await ask(key, (node) => rehearse(node, command))
      }
    })
  } finally {
    nodes.close()
  }
}

async function askEach(
  settings: RedisEraserSettings,
  nodes: Nodes,
  [name = '', ...args]: string[],
): Promise<void> {
  for (const node of nodes.all) await attempt(settings, node, ({ redis }) => redis.call(name, ...args))
}

async function rehearse({ redis }: Node, [name, ...args]: Command): Promise<void> {
  await redis.call('MULTI')
  try {
    await redis.call(name, ...args)
  } finally {
    await redis.call('DISCARD')
  }
}
