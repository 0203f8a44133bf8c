/**
 * Whether a cluster keeps its slots where they are: while one moves, a scan can miss its keys, on the node that they
 * leave after it was read and on the other before they come.
 */
import { LetheError } from '../../../../base/errors/index.ts'
import { attempt, type Nodes, type RedisEraserSettings } from './nodes.ts'
import { slotCount } from './slots.ts'

/** Runs `look` and throws E_STORE_UNAVAILABLE where slots were moving before it, during it or after it. */
export async function whileSteady<T>(
  settings: RedisEraserSettings,
  nodes: Nodes,
  look: () => Promise<T>,
): Promise<T> {
  if (!nodes.cluster) return look()
  const before = await slotsByNode(settings, nodes)
  const seen = await look()
  if (before === null || before !== (await slotsByNode(settings, nodes)))
    throw new LetheError('E_STORE_UNAVAILABLE', {
      message: `The cluster of Redis ${settings.store} is moving slots: a scan can't say what is absent.`,
      next: 'Wait until the resharding or failover is over. Runs go on by themselves.',
      facts: { store: settings.store },
    })
  return seen
}

/** What each node says of itself; null where a slot is on its way, or claimed twice or by none. */
async function slotsByNode(settings: RedisEraserSettings, nodes: Nodes): Promise<string | null> {
  const lines: string[] = []
  let claimed = 0
  for (const node of nodes.all) {
    const text = await attempt(settings, node, ({ redis }) => redis.cluster('NODES'))
    const own = String(text)
      .split('\n')
      .map((line) => line.split(' '))
      .find((words) => words[2]?.split(',').includes('myself'))
    const slots = own?.slice(8) ?? []
    if (own === undefined || slots.some((slot) => slot.startsWith('['))) return null
    for (const slot of slots) {
      const [from = '', to = from] = slot.split('-')
      claimed += Number(to) - Number(from) + 1
    }
    lines.push(`${own[0]} ${slots.join(' ')}`)
  }
  return claimed === slotCount ? lines.join('\n') : null
}
