/** How a finding is named and accepted. */
import type { Finding } from '../plan.ts'
import type { DataMap } from '../../datamap/index.ts'

export type FindingKind = Finding['kind']
export type Draft = Omit<Finding, 'id' | 'accepted' | 'store'>

/** `kind:store/on`: the name that `accept` uses. It names structure only, so it stays the same from day to day. */
export function findingId(kind: FindingKind, store: string, on: string): string {
  return `${kind}:${store}/${on}`
}

/** A map error can't be accepted: there is nothing sound that Lethe could do instead of what the map says. */
export function settle(map: DataMap, store: string, drafts: readonly Draft[]): Finding[] {
  const reasons = new Map(map.accept.map((acceptance) => [acceptance.finding, acceptance.reason]))
  const found = new Map<string, Finding>()
  for (const draft of drafts) {
    const id = findingId(draft.kind, store, draft.on)
    const accepted = draft.kind === 'map-error' ? null : (reasons.get(id) ?? null)
    // Two mistakes in one place are two findings: only the map's errors can share a place.
    const identity = draft.kind === 'map-error' ? `${id} ${draft.message}` : id
    if (!found.has(identity)) found.set(identity, { id, store, ...draft, accepted })
  }
  return [...found.values()].toSorted(
    (a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || (a.on < b.on ? -1 : a.on > b.on ? 1 : 0),
  )
}

/** Acceptances that match nothing: what they excused is mended, or has another name now; either way they mislead. */
export function staleAcceptances(map: DataMap, store: string, found: readonly Finding[]): Draft[] {
  const ids = new Set(found.filter((finding) => finding.kind !== 'map-error').map((finding) => finding.id))
  return map.accept
    .filter(({ finding }) => {
      const owner = /^[a-z-]+:([a-z][a-z0-9_-]*)\//.exec(finding)?.[1]
      const elsewhere = owner !== undefined && owner !== store && map.stores[owner] !== undefined
      // whether a table is large comes and goes with its rows: a purge that made it small must not stop the next one
      const ofSize = finding.startsWith('unindexed-')
      return !elsewhere && !ofSize && !ids.has(finding)
    })
    .map(({ finding }) => ({
      kind: 'map-error' as const,
      on: `accept(${finding})`,
      message: `The map accepts "${finding}", and there is no such finding.`,
      mend: 'Take the entry out of accept, or name the finding as datamap check prints it.',
    }))
}

const kinds: readonly FindingKind[] = [
  'map-error',
  'unclassified-table',
  'unclassified-column',
  'vanished-table',
  'vanished-column',
  'no-primary-key',
  'key-of-several-texts',
  'several-owners',
  'ambiguous-owner',
  'unbreakable-cycle',
  'blocking-foreign-key',
  'cascade-outside-plan',
  'delete-trigger',
  'rule',
  'nullable-path',
  'unindexed-foreign-key',
  'unindexed-identifier',
]
