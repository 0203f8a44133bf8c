/** Looks for all that lookups lead to, and reads back: a table's own key consistently, an index more than once. */
import { Counts } from '../../../../base/counts/index.ts'
import { LetheError } from '../../../../base/errors/index.ts'
import { Findings } from '../../findings.ts'
import { wait, type Session } from './ask.ts'
import { findPages, readPage } from './find.ts'
import type { Lookup, Lookups } from './lookups.ts'

/** Readings of the indexes: what was written or deleted a moment ago shows after a while, mostly within a second. */
const LEAST = 2
const MOST = 6

/** Counts an item once, however many subjects and places lead to it. */
export async function countItems(session: Session, wanted: Lookups, subjects: number): Promise<Counts> {
  const findings = findingsOf(wanted, subjects)
  findings.requireSeen()
  const { items } = await read(session, wanted.lookups, findings)
  findings.requireSeen()
  const counts = new Counts()
  for (const [first] of items.values()) if (first !== undefined) counts.add(first.place.name)
  return counts
}

/** An entry of an index without its item is a copy that is left, too. */
export async function lookBack(
  session: Session,
  wanted: Lookups,
  subjects: number,
  settleMs: number,
): Promise<Findings> {
  const findings = findingsOf(wanted, subjects)
  const byTable = wanted.lookups.filter(({ place }) => place.index === undefined)
  const byIndex = wanted.lookups.filter(({ place }) => place.index !== undefined)
  const { items } = await read(session, byTable, findings)
  const shown = await readSettled(session, byIndex, findings, settleMs)
  for (const [id, lookups] of shown.items) items.set(id, [...(items.get(id) ?? []), ...lookups])
  for (const lookups of [...items.values(), ...shown.ghosts.map((lookup) => [lookup])])
    tell(findings, lookups)
  return findings
}

interface Reading {
  /** By an item's id: all that led to it. */
  items: Map<string, Lookup[]>
  /** For each entry of an index that the table doesn't confirm, what led to it. */
  ghosts: Lookup[]
}

/** What the last reading found. */
async function readSettled(
  session: Session,
  lookups: readonly Lookup[],
  findings: Findings,
  settleMs: number,
): Promise<Reading> {
  for (let number = 1; ; number++) {
    const reading = await read(session, lookups, findings)
    const settled = lookups.length === 0 || (number >= LEAST && reading.ghosts.length === 0)
    if (settled || number >= MOST) return reading
    await wait(session, settleMs)
  }
}

/** A lookup that is refused leaves its subjects unseen and holds up no other. Throws what may pass. */
async function read(session: Session, lookups: readonly Lookup[], findings: Findings): Promise<Reading> {
  const reading: Reading = { items: new Map(), ghosts: [] }
  const pages = findPages(lookups, async (lookup, next) => {
    try {
      return await readPage(session, lookup, next)
    } catch (error) {
      if (!(error instanceof LetheError) || error.code !== 'E_STORE_REFUSED') throw error
      for (const subject of lookup.subjects) findings.unseen(subject, error)
      return null
    }
  })
  for await (const { items, ghosts, lookup } of pages) {
    for (const { id } of items) {
      const known = reading.items.get(id) ?? []
      known.push(lookup)
      reading.items.set(id, known)
    }
    for (let ghost = 0; ghost < ghosts; ghost++) reading.ghosts.push(lookup)
  }
  return reading
}

/** Once a subject, in the place that led to it first. */
function tell(findings: Findings, lookups: readonly Lookup[]): void {
  const told = new Set<number>()
  for (const { subjects, place } of lookups)
    for (const subject of subjects) {
      if (!told.has(subject)) findings.left(subject, place.name)
      told.add(subject)
    }
}

/** Where a subject has a value that can't be a key, nobody could say how much there is, or that it is absent. */
function findingsOf({ unfit }: Lookups, subjects: number): Findings {
  const findings = new Findings(subjects)
  for (const astray of unfit.values()) for (const [subject, error] of astray) findings.unseen(subject, error)
  return findings
}
