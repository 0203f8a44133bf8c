/** Looks for all that a plan leads to: in one pass over the keyspace, however many subjects there are. */
import { Counts } from '../../../../base/counts/index.ts'
import type { SubjectRef } from '../../eraser.ts'
import { Findings } from '../../findings.ts'
import { storeError, type Failure } from './failure.ts'
import { countMembers, typeMembers } from './members.ts'
import { openNodes, type Nodes, type RedisEraserSettings } from './nodes.ts'
import { scanPass } from './pass.ts'
import { send } from './pipeline.ts'
import type { RedisPlan } from './plan.ts'
import { whileSteady } from './steady.ts'
import { isEmpty, targetsOf, type KeyTarget, type Targets } from './targets.ts'

export interface Reading {
  settings: RedisEraserSettings
  /** What Lethe's own keys begin with. */
  own: string
  /** Keys looked at for one SCAN. */
  count: number
}

export interface Seen {
  /** Each item once, however many subjects lead to it. */
  counts: Counts
  findings: Findings
}

const WHAT = 'show everything'

/** What is refused for good stands in the findings. Throws E_STORE_UNAVAILABLE where more might be seen later. */
export async function look(
  reading: Reading,
  subjects: readonly SubjectRef[],
  plan: RedisPlan,
  signal: AbortSignal,
): Promise<Seen> {
  const { settings, own } = reading
  const targets = targetsOf(plan, subjects, own)
  const seen = { counts: new Counts(), findings: new Findings(subjects.length) }
  for (const astray of targets.unusable.values())
    for (const [subject, error] of astray) seen.findings.unseen(subject, error)
  if (isEmpty(targets)) return seen
  const nodes = await openNodes(settings)
  try {
    await whileSteady(settings, nodes, () => lookAll(reading, nodes, targets, seen, signal))
    return seen
  } finally {
    nodes.close()
  }
}

async function lookAll(
  { settings, own, count }: Reading,
  nodes: Nodes,
  targets: Targets,
  { counts, findings }: Seen,
  signal: AbortSignal,
): Promise<void> {
  let passing: Failure | null = null
  const miss = ({ subjects }: KeyTarget, failure: Failure) => {
    if (failure.passing) passing = failure
    else for (const subject of subjects) findings.unseen(subject, storeError(settings.store, WHAT, failure))
  }
  const told = new Map<string, Set<number>>()
  const find = ({ place, key, subjects }: KeyTarget) => {
    const known = told.get(key) ?? new Set()
    if (!told.has(key)) counts.add(place)
    told.set(key, known)
    for (const subject of subjects) if (!known.has(subject)) findings.left(subject, place)
    for (const subject of subjects) known.add(subject)
  }

  await send(
    nodes,
    targets.keys,
    (_, key) => ['exists', key],
    { signal },
    (target, reply) => {
      if ('failure' in reply) miss(target, reply.failure)
      else if (Number(reply.value) > 0) find(target)
    },
  )
  const members = await typeMembers(nodes, targets.members, signal, miss)
  await countMembers(nodes, members, signal, (member, found) => {
    if (typeof found !== 'number') return miss(member, found)
    counts.add(member.place, found)
    for (const subject of member.subjects) findings.left(subject, member.place, found)
  })
  const take = (hits: readonly KeyTarget[]) => {
    hits.forEach(find)
    return Promise.resolve(true)
  }
  await scanPass(nodes, targets.scans, { signal, count, own, from: null, take })
  const failure = nodes.all.find(({ lost }) => lost !== null)?.lost ?? passing
  if (failure !== null) throw storeError(settings.store, WHAT, failure)
}
