/** Salesforce: records of any object, into the recycle bin that Salesforce empties after 15 days. */
import { z } from 'zod'
import { Counts } from '../../../../base/counts/index.ts'
import { LetheError } from '../../../../base/errors/index.ts'
import type { ErasePage, Eraser, Retained, SubjectRef, Verification } from '../../eraser.ts'
import { refuseAstray, sentenceOf } from '../values.ts'
import { BASE, salesforceClient, VERSION, type Ask, type SalesforceOptions } from './client.ts'
import { find, type Found } from './find.ts'
import { forget, INDIVIDUAL, readIndividuals } from './individuals.ts'
import { requireNames, type SalesforceObject, type SalesforcePlan } from './plan.ts'
import { PER_CALL, remove } from './remove.ts'
import { queryAll } from './soql.ts'

const DAYS = 15
const IN_BIN = `in the recycle bin, which Salesforce empties after ${DAYS} days`
const WISH = 'holds the wish to be forgotten (ShouldForget)'

/**
 * `retained` of a page is what that call found in the recycle bin; what it put there itself is found by the next.
 * Salesforce shows what has left the bin for a day or so more.
 */
export function salesforceEraser(options: SalesforceOptions): Eraser<SalesforcePlan> {
  const ask = salesforceClient(options)
  const { store } = options
  const whole = async (subjects: readonly SubjectRef[], plan: SalesforcePlan, signal: AbortSignal) => {
    requireNames(store, plan)
    signal.throwIfAborted()
    const { records, astray } = await find(ask, subjects, plan, signal)
    refuseAstray(store, astray.size)
    return records
  }
  return {
    store,
    capabilities: {
      bulk: 1000,
      ratePerMinute: null,
      reversible: true,
      verifiable: true,
      sideEffects: [
        'what Salesforce deletes with a record (details of a master, activities, attachments) goes too',
        'triggers, flows and outbound messages of the org run for each record',
        `records can be restored for ${DAYS} days`,
        'free text in other records, field history, and copies in other Salesforce clouds stay',
      ],
      irreversibleAfter: `${DAYS} days after the call`,
      settleSeconds: 0,
      follows: `Salesforce REST API ${VERSION}`,
    },
    async probe(plan, signal) {
      requireNames(store, plan)
      for (const object of plan.objects) await probeObject(ask, store, object, signal)
      if (plan.objects.some(({ forget }) => forget))
        await requireRight(ask, store, INDIVIDUAL, 'updateable', signal)
    },
    async locate(subjects, plan, signal) {
      const counts = new Counts()
      for (const { object, deleted } of await whole(subjects, plan, signal))
        if (!deleted) counts.add(object.name)
      return { counts: counts.plain() }
    },
    async erase(subjects, plan, { limit }, signal) {
      requireNames(store, plan)
      signal.throwIfAborted()
      const { records, astray } = await find(ask, subjects, plan, signal)
      const page = await eraseRecords(ask, records, limit, signal)
      const messages = astray.size === 0 ? [] : [sentenceOf(store, astray.size)]
      return { ...page, messages: [...messages, ...page.messages] }
    },
    async verify(subjects, plan, signal) {
      const records = await whole(subjects, plan, signal)
      const told = await readIndividuals(ask, records, signal)
      return subjects.map((_, place) =>
        verificationOf(
          records.filter(({ subjects }) => subjects.has(place)),
          told,
        ),
      )
    },
  }
}

async function eraseRecords(
  ask: Ask,
  records: readonly Found[],
  limit: number,
  signal: AbortSignal,
): Promise<ErasePage> {
  const removed = new Counts()
  const refused = new Counts()
  const told = await readIndividuals(ask, records, signal)
  const open = records.filter(({ deleted }) => !deleted)
  let at = 0
  while (at < open.length && removed.total < limit) {
    const batch = nextBatch(open, at, limit - removed.total)
    at += batch.length
    const held = await forgetFirst(ask, batch, told, refused, signal)
    const going = batch.filter(({ individual }) => individual === null || !held.has(individual))
    const [first] = going
    if (first === undefined) continue
    const { object } = first
    const ids = going.map(({ id }) => id)
    for (const code of await remove(ask, object, ids, signal))
      if (code === null) removed.add(object.name)
      else refused.add(`${object.name} refused: ${code}`)
  }
  return {
    removed: removed.plain(),
    retained: retainedOf(records, told),
    pending: [],
    messages: refused.sentences(),
    more: at < open.length,
  }
}

/** The individuals that couldn't be told: their records stay, since a record that is gone leads to nobody. */
async function forgetFirst(
  ask: Ask,
  batch: readonly Found[],
  told: ReadonlyMap<string, boolean>,
  refused: Counts,
  signal: AbortSignal,
): Promise<Set<string>> {
  const held = new Set<string>()
  const untold = [...individualsOf(batch)].filter((id) => told.get(id) === false)
  for (const [id, code] of await forget(ask, untold, signal)) {
    if (code === null) continue
    held.add(id)
    refused.add(`${INDIVIDUAL} refused: ${code}`)
  }
  return held
}

/** Of one object: what refers to another goes in a call before it. */
function nextBatch(open: readonly Found[], from: number, room: number): readonly Found[] {
  const next = open.slice(from, from + Math.min(PER_CALL, room))
  const end = next.findIndex(({ object }) => object.name !== next[0]?.object.name)
  return end === -1 ? next : next.slice(0, end)
}

function verificationOf(records: readonly Found[], told: ReadonlyMap<string, boolean>): Verification {
  const left = new Counts()
  for (const { object, deleted } of records) if (!deleted) left.add(object.name)
  for (const id of individualsOf(records)) if (told.get(id) === false) left.add(INDIVIDUAL)
  return { absent: left.total === 0, left: left.plain(), retained: retainedOf(records, told) }
}

function retainedOf(records: readonly Found[], told: ReadonlyMap<string, boolean>): Retained[] {
  const bins = new Map<string, { count: number; last: number }>()
  for (const { object, deleted, changedAt } of records) {
    if (!deleted) continue
    const bin = bins.get(object.name) ?? { count: 0, last: 0 }
    bins.set(object.name, { count: bin.count + 1, last: Math.max(bin.last, Date.parse(changedAt)) })
  }
  const retained: Retained[] = [...bins].map(([place, { count, last }]) => ({
    place,
    count,
    ground: IN_BIN,
    until: new Date(last + DAYS * 86_400_000).toISOString(),
  }))
  const wishes = [...individualsOf(records)].filter((id) => told.get(id) === true).length
  if (wishes > 0) retained.push({ place: INDIVIDUAL, count: wishes, ground: WISH, until: null })
  return retained
}

function individualsOf(records: readonly Found[]): Set<string> {
  return new Set(records.flatMap(({ individual }) => individual ?? []))
}

async function probeObject(
  ask: Ask,
  store: string,
  object: SalesforceObject,
  signal: AbortSignal,
): Promise<void> {
  await requireRight(ask, store, object.name, 'deletable', signal)
  const fields = [...(object.forget === true ? ['IndividualId'] : []), ...Object.keys(object.where)]
  const filters = Object.keys(object.where).map((field) => `${field} = null`)
  const soql = `SELECT IsDeleted, SystemModstamp, ${fields.join(', ')} FROM ${object.name} WHERE ${filters.join(' OR ')} LIMIT 1`
  await queryAll(ask, `try a query of ${object.name}`, z.unknown(), soql, signal)
}

async function requireRight(
  ask: Ask,
  store: string,
  name: string,
  right: 'deletable' | 'updateable',
  signal: AbortSignal,
): Promise<void> {
  const form = z.object({ queryable: z.boolean(), deletable: z.boolean(), updateable: z.boolean() })
  const path = `${BASE}/sobjects/${name}/describe`
  const described = await ask(`describe ${name}`, form, { method: 'GET', path }, signal)
  const missing = (['queryable', right] as const).filter((what) => !described[what])
  if (missing.length > 0)
    throw new LetheError('E_STORE_REFUSED', {
      message: `Salesforce (${store}) doesn't let this client work on ${name}: it is not ${missing.join(', not ')}.`,
      facts: { store, object: name, missing },
    })
}
