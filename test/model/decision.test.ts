/**
 * The decision whether a subject goes, and the reason why not: the real guard in one statement over 10,000 random persons,
 * beside the same rules in plain TypeScript. A failure prints its seed: run it again with LETHE_MODEL_SEED.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { findPolicy, loadPolicyPlan } from '../../jobs/retention/index.ts'
import { cutoffNow, guardFor } from '../../jobs/retention/rules.ts'
import { firstReason, fullGuard, rootTable } from '../../lib/data/rows/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../support/stages/retention-house.ts'

const DECISIONS = 10_000
const HELD_TENANTS = new Set([3, 17])

const owned = (none: string[], more: Record<string, unknown> = {}) => ({
  columns: { none },
  edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
  action: 'delete',
  ...more,
})

const map = {
  subjects: {
    person: {
      store: 'app',
      root: 'public.people',
      tenant: 'tenant',
      contact: 'root.email',
      holds: [{ name: 'claim', sql: 'root.claimed' }],
    },
  },
  tables: {
    app: {
      'public.people': {
        columns: {
          none: ['id', 'tenant', 'keep', 'claimed', 'deleted_at', 'last_seen', 'naive_at'],
          contact: ['email'],
          identity: ['born'],
        },
        action: 'delete',
      },
      'public.visits': owned(['id', 'person_id', 'second_id'], {
        edges: ['person_id', 'second_id'].map((column) => ({
          kind: 'owned',
          to: 'public.people',
          columns: [column],
        })),
      }),
      'public.records': owned(['id', 'person_id', 'keep_until'], {
        minimum: { ground: 'records act', until: 't.keep_until' },
      }),
      'public.messages': owned(['id', 'person_id', 'sent_at']),
      'public.loose': { ...owned(['person_id']), columns: { none: ['person_id'], 'free-text': ['note'] } },
    },
  },
  accept: [
    {
      finding: 'several-owners:app/public.visits(person_id, second_id)',
      reason: 'a visit is of both, and goes with the first',
    },
    { finding: 'nullable-path:app/public.visits(second_id)', reason: 'most visits are of one person' },
  ],
}

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
  await house.app.execute(`ALTER TABLE people ADD claimed boolean`)
  await house.app.execute('ALTER TABLE visits ADD second_id bigint REFERENCES people')
  await house.app.execute('CREATE INDEX ON visits (second_id)')
  await house.configure(map)
})
afterAll(() => house.close())

const instants = ['past', 'future', 'never'] as const
/** Of what ends at some time: 'never' is NULL. */
type End = (typeof instants)[number]

const rarely = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 4 }).map((one) => one ?? undefined)

const person = fc.record({
  tenant: fc.integer({ min: 0, max: 60 }),
  /** Days since the soft delete; the policy's period is 30 days. */
  deleted: fc.constantFrom(null, 0, 29, 31, 90, 90, 90),
  keep: fc.constantFrom(false, false, false, true),
  claimed: fc.constantFrom(null, false, false, false, false, true),
  held: rarely(fc.constantFrom('subject', 'row')),
  /** Somebody else whom the person's visit is of, too. */
  second: rarely(fc.integer({ min: 1, max: DECISIONS })),
  exempt: rarely(fc.record({ until: fc.constantFrom(...instants), ours: fc.boolean() })),
  /** Kept by a decision about a class of records. */
  decided: rarely(fc.constantFrom(...instants)),
  records: fc.array(fc.constantFrom<End>('past', 'past', 'past', 'future', 'never'), { maxLength: 2 }),
})
type Person = ReturnType<typeof draw>[number]

function draw(seed: number) {
  return fc.sample(person, { numRuns: DECISIONS, seed }).map((one, index) => ({ ...one, id: index + 1 }))
}

function stands(end: End | undefined): boolean {
  return end === 'future' || end === 'never'
}

/** Null: the person goes. The first reason in the order in which it is told. */
function oracle(one: Person, people: readonly Person[]): string | null {
  const isHeld = (other: Person) => other.held !== undefined || HELD_TENANTS.has(other.tenant)
  // a visit is also of the one who is named second, and goes with either
  const others = [...(one.second === undefined ? [] : [one.second]), ...(named.get(one.id) ?? [])].flatMap(
    (id) => people[id - 1] ?? [],
  )
  const rowOfMine = others.some(({ id, held }) => held === 'row' && people[id - 1]?.second === one.id)
  if (isHeld(one) || rowOfMine) return 'held'
  if (one.claimed === true) return 'hold:claim'
  if (others.some((other) => isHeld(other) || rowHeldBy(other, people))) return 'subject-held'
  if (others.some(({ claimed }) => claimed === true)) return 'hold:claim'
  if (one.keep) return 'unless:keep'
  if (stands(one.decided)) return 'kept'
  if (one.exempt?.ours === true && stands(one.exempt.until)) return 'exempted'
  if (one.records.some(stands)) return 'minimum:public.records'
  return null
}

/** Whose visits name this person second. */
const named = new Map<number, number[]>()

/** A hold on a row holds every owner of it. */
function rowHeldBy({ id }: Person, people: readonly Person[]): boolean {
  return (named.get(id) ?? []).some((first) => people[first - 1]?.held === 'row')
}

async function insert(people: readonly Person[]): Promise<void> {
  await house.app.execute(
    `INSERT INTO people (id, tenant, keep, claimed, deleted_at)
     SELECT id, tenant, keep, claimed, now() - make_interval(days => deleted)
     FROM jsonb_to_recordset($1::jsonb) AS u(id bigint, tenant int, keep boolean, claimed boolean, deleted int)`,
    [JSON.stringify(people)],
  )
  await house.app.execute(
    `INSERT INTO visits SELECT id * 10, id, second FROM jsonb_to_recordset($1::jsonb) AS u(id bigint, second bigint)`,
    [JSON.stringify(people)],
  )
  const until = (name: string) =>
    `CASE ${name} WHEN 'past' THEN now() - interval '1 day' WHEN 'future' THEN now() + interval '1 day' END`
  await house.app.execute(
    `INSERT INTO records SELECT id * 10 + n, id, ${until('one')}
     FROM jsonb_to_recordset($1::jsonb) AS u(id bigint, records text[]), unnest(records) WITH ORDINALITY AS r(one, n)`,
    [JSON.stringify(people)],
  )
  await house.app.execute(
    `INSERT INTO lethe.exemptions (policy, root_key, until, proposal_id)
     SELECT CASE WHEN (exempt ->> 'ours')::boolean THEN 'closed' ELSE 'inactive' END, ARRAY[id::text], ${until(`exempt ->> 'until'`)}, gen_random_uuid()
     FROM jsonb_to_recordset($1::jsonb) AS u(id bigint, exempt jsonb) WHERE exempt IS NOT NULL`,
    [JSON.stringify(people)],
  )
  await house.app.execute(
    `INSERT INTO lethe.kept_roots (subject_kind, root_key, until, ground, run_id, classes)
     SELECT 'person', ARRAY[id::text], ${until('decided')}, 'claim', gen_random_uuid(), '{care}'
     FROM jsonb_to_recordset($1::jsonb) AS u(id bigint, decided text) WHERE decided IS NOT NULL`,
    [JSON.stringify(people)],
  )
  await house.app.execute(
    `INSERT INTO lethe.holds (id, level, subject_kind, table_name, key, kind, store)
     SELECT gen_random_uuid(), held, CASE held WHEN 'subject' THEN 'person' END, CASE held WHEN 'row' THEN 'public.visits' END,
       ARRAY[(CASE held WHEN 'row' THEN id * 10 ELSE id END)::text], 'legal-claim', 'app'
     FROM jsonb_to_recordset($1::jsonb) AS u(id bigint, held text) WHERE held IS NOT NULL
     UNION ALL SELECT gen_random_uuid(), 'tenant', 'person', NULL, ARRAY[tenant::text], 'legal-claim', 'app' FROM unnest($2::int[]) tenant`,
    [JSON.stringify(people), [...HELD_TENANTS]],
  )
  await house.app.execute('ANALYZE')
}

it('Of 10,000 persons those go who are due and whom nothing keeps, and each other one has the first reason that stands.', async () => {
  const seed = Number(process.env['LETHE_MODEL_SEED'] ?? 20_261_130)
  const people = draw(seed)
  for (const { id, second } of people)
    if (second !== undefined) named.set(second, [...(named.get(second) ?? []), id])
  await insert(people)

  const policy = findPolicy(house.context, 'closed')
  const plan = await loadPolicyPlan(house.context, policy)
  const cutoff = await cutoffNow(house.app, policy)
  const guard = await fullGuard(house.app, plan, guardFor(policy, plan, cutoff.toISOString()))
  const decided = await house.app.query(
    z.object({ id: z.coerce.number(), due: z.boolean(), reason: z.string().nullable() }),
    `SELECT root.id, (${guard.due}) IS TRUE AS due, ${firstReason(guard)} AS reason FROM ${rootTable(plan)} root ORDER BY root.id`,
  )

  const wanted = people.map((one) => ({
    id: one.id,
    due: one.deleted !== null && one.deleted > 30,
    reason: oracle(one, people),
  }))
  const wrong = decided.filter((one, index) => {
    const other = wanted[index]
    return one.due !== other?.due || one.reason !== other.reason
  })
  expect(
    wrong.slice(0, 5).map((one) => ({ seed, got: one, wanted: wanted[one.id - 1], of: people[one.id - 1] })),
  ).toEqual([])
  expect(decided).toHaveLength(DECISIONS)
  // every outcome was among them
  expect([...new Set(decided.map(({ reason }) => reason ?? 'goes'))].toSorted()).toEqual([
    'exempted',
    'goes',
    'held',
    'hold:claim',
    'kept',
    'minimum:public.records',
    'subject-held',
    'unless:keep',
  ])
}, 120_000)
