/** A team's own Redis behind the one interface of everything that holds data: sessions, caches, presence. */
import { createHash } from 'node:crypto'
import type { Eraser, ErasePage } from '../../eraser.ts'
import { look } from './look.ts'
import { removeMembers, typeMembers } from './members.ts'
import { openNodes, type Nodes, type RedisEraserSettings } from './nodes.ts'
import { scanPass, type Position } from './pass.ts'
import { send, type Budget, type Reply } from './pipeline.ts'
import type { RedisPlan } from './plan.ts'
import { probe } from './probe.ts'
import { Tally } from './tally.ts'
import { isEmpty, targetsOf, type KeyTarget, type Targets } from './targets.ts'

/**
 * Connects for each call and leaves no connection behind. Errors: E_CONFIG (address, plan), E_IDENTIFIER,
 * E_STORE_UNAVAILABLE, E_STORE_REFUSED. Needs Redis 6.2 or newer and the right to SCAN, EXISTS, UNLINK, TYPE, to
 * the commands of the members' types, for a probe to MULTI and DISCARD, and in a cluster to CLUSTER SLOTS and NODES.
 * There is no fence in Redis: whoever was overtaken removes what would be removed anyway.
 */
export function redisEraser(settings: RedisEraserSettings): Eraser<RedisPlan> {
  const own = settings.ownPrefix ?? '{lethe}'
  const count = settings.scanCount ?? 1000
  const reading = { settings, own, count }
  // So that the next call doesn't pass over the same keys again; lost with the process, it only costs time.
  let stopped: { call: string; at: Position } | null = null

  /** Whether everything had its turn. */
  async function removeAll(
    nodes: Nodes,
    targets: Targets,
    tally: Tally,
    call: { id: string; budget: Budget; signal: AbortSignal },
  ): Promise<boolean> {
    const { budget, signal } = call
    const note = ({ place, key }: KeyTarget, reply: Reply) => {
      if ('failure' in reply) {
        tally.fail(place, key, reply.failure)
        return
      }
      tally.counts.add(place, Number(reply.value))
      budget.left -= Number(reply.value)
    }
    const unlink = (items: readonly KeyTarget[]) =>
      send(nodes, items, (_, key) => ['unlink', key], { signal, budget }, note)
    if (!(await unlink(targets.keys))) return false
    const members = await typeMembers(nodes, targets.members, signal, (member, failure) =>
      tally.fail(member.place, `${member.key}\0${member.value}`, failure),
    )
    const taken = await removeMembers(nodes, members, budget, signal, (member, removed) => {
      if (typeof removed !== 'number')
        return tally.fail(member.place, `${member.key}\0${member.value}`, removed)
      tally.counts.add(member.place, removed)
      budget.left -= removed
    })
    if (!taken || (budget.left <= 0 && targets.scans.length > 0)) return false
    const id = `${call.id} ${digest(targets)} ${nodes.all.map(({ address }) => address).join()}`
    const from = stopped?.call === id ? stopped.at : null
    stopped = null
    const at = await scanPass(nodes, targets.scans, { signal, count, own, from, take: unlink })
    if (at !== null) stopped = { call: id, at }
    return at === null
  }

  return {
    store: settings.store,
    capabilities: {
      bulk: 1000,
      ratePerMinute: null,
      reversible: false,
      verifiable: true,
      sideEffects: [
        'people lose the sessions that are erased',
        'keyspace notifications fire where they are on',
        'an application that still runs for the subject may write its keys again',
      ],
      irreversibleAfter:
        'the call; bytes stay in RDB and AOF files until they are rewritten, and in backups until they expire',
      settleSeconds: 0,
      follows: null,
    },
    async probe(plan, signal) {
      signal.throwIfAborted()
      await probe(settings, own, plan, signal)
    },
    async locate(subjects, plan, signal) {
      signal.throwIfAborted()
      const { counts, findings } = await look(reading, subjects, plan, signal)
      findings.requireSeen()
      return { counts: counts.plain() }
    },
    async verify(subjects, plan, signal) {
      signal.throwIfAborted()
      const { findings } = await look(reading, subjects, plan, signal)
      return findings.each()
    },
    async erase(subjects, plan, page, signal): Promise<ErasePage> {
      signal.throwIfAborted()
      const targets = targetsOf(plan, subjects, own)
      const tally = new Tally()
      let more = false
      if (!isEmpty(targets)) {
        const nodes = await openNodes(settings)
        try {
          const call = { id: page.runId, budget: { left: page.limit }, signal }
          more = !(await removeAll(nodes, targets, tally, call))
          for (const { lost } of nodes.all) tally.lost(lost)
          tally.throwUndone(settings.store)
        } catch (error) {
          stopped = null
          throw error
        } finally {
          nodes.close()
        }
      }
      return {
        removed: tally.counts.plain(),
        retained: [],
        pending: [],
        messages: tally.messages(targets),
        more,
      }
    },
  }
}

function digest(targets: Targets): string {
  const hash = createHash('sha256')
  for (const { place, wanted } of targets.scans)
    hash.update(JSON.stringify([place, [...wanted.keys()].toSorted()]))
  return hash.digest('base64')
}
