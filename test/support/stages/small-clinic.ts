/**
 * A small schema with one of each: an owned table with a foreign key, one without, a row owned on the parent side, kept
 * invoices, merged people, the application's own holds. For tests that want to see every row.
 */
import { openDatabase, type Database, migrate } from '../../../lib/base/db/index.ts'
import { planDeletion, type DeletionPlan } from '../../../lib/data/deletion/index.ts'
import { loadCatalogue, mapShape } from '../../../lib/data/datamap/index.ts'
import { storeSchema } from '../../../lib/data/erasers/index.ts'
import { newId } from '../../../lib/base/clock/index.ts'
import { raiseFence, type Batch, type BatchRoot, type Guard } from '../../../lib/data/rows/index.ts'
import { freshDatabase } from '../servers/shared.ts'
import { z } from 'zod'

const schema = `
  CREATE TABLE addresses (id bigint PRIMARY KEY, line text NOT NULL);
  CREATE TABLE people (
    id bigint PRIMARY KEY, organisation_id int NOT NULL, email text, address_id bigint REFERENCES addresses,
    merged_into_id bigint REFERENCES people, deleted_at timestamptz);
  CREATE TABLE visits (id bigserial PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, note text);
  CREATE TABLE samples (id bigserial PRIMARY KEY, person_ref bigint NOT NULL, value text);
  CREATE TABLE invoices (id bigserial PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, name text, keep_until timestamptz NOT NULL);
  CREATE TABLE app_holds (id bigserial PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, released_at timestamptz);
  CREATE TABLE loose_holds (person_ref bigint NOT NULL);
  CREATE INDEX ON people (address_id); CREATE INDEX ON people (merged_into_id);
  CREATE INDEX ON visits (person_id); CREATE INDEX ON samples (person_ref);
  CREATE INDEX ON invoices (person_id); CREATE INDEX ON app_holds (person_id);`

const map = z.strictObject(mapShape(storeSchema)).parse({
  stores: { main: { kind: 'postgres', url: 'env:TARGET' } },
  subjects: {
    person: { store: 'main', root: 'public.people', tenant: 'organisation_id', alias: 'merged_into_id' },
  },
  tables: {
    main: {
      'public.people': {
        columns: {
          none: ['id', 'organisation_id', 'address_id', 'merged_into_id', 'deleted_at'],
          contact: ['email'],
        },
        action: 'delete',
        pseudonymise: { email: { hash: true } },
      },
      'public.addresses': {
        columns: { none: ['id'], contact: ['line'] },
        edges: [{ kind: 'owned', to: 'public.people', columns: ['address_id'], side: 'parent' }],
        action: 'delete',
      },
      'public.visits': owned('person_id', { none: ['id', 'person_id'], health: ['note'] }),
      'public.samples': owned('person_ref', { none: ['id', 'person_ref'], health: ['value'] }),
      'public.app_holds': owned('person_id', { none: ['id', 'person_id', 'released_at'] }),
      'public.invoices': {
        columns: { none: ['id', 'person_id', 'keep_until'], identity: ['name'] },
        edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
        action: 'retain',
        retain: { ground: 'tax law', until: 't.keep_until' },
        pseudonymise: { name: { set: 'erased' } },
      },
      'public.loose_holds': {
        columns: { none: ['person_ref'] },
        action: 'ignore',
        reason: 'belongs to another team',
      },
    },
  },
  accept: [
    {
      finding: 'ambiguous-owner:main/public.addresses(id)->public.people(address_id)',
      reason: 'a household goes with the last of its people',
    },
  ],
})

function owned(column: string, columns: Record<string, string[]>) {
  return { columns, edges: [{ kind: 'owned', to: 'public.people', columns: [column] }], action: 'delete' }
}

export const isDue: Guard = {
  due: `root.deleted_at < now() - $1::interval`,
  clear: [
    {
      reason: 'unless:app-hold',
      sql: `EXISTS (SELECT FROM app_holds h WHERE h.person_id = root.id AND h.released_at IS NULL)`,
    },
    { reason: 'unless:loose-hold', sql: `EXISTS (SELECT FROM loose_holds h WHERE h.person_ref = root.id)` },
  ],
  values: ['30 days'],
}

export interface SmallClinic {
  url: string
  db: Database
  plan: DeletionPlan
  /** People with these ids, soft-deleted 40 days ago, each with 2 visits, 3 samples and an address of its own. */
  addPeople(ids: readonly number[]): Promise<void>
  /** Puts people into a new population, in this order; weights by id where they differ from 7. */
  propose(ids: readonly number[], weights?: Record<number, number>): Promise<string>
  count(table: string, where?: string): Promise<number>
  /** Rows of the tables that a subject is made of. */
  counts(): Promise<Record<string, number>>
  /** Ordinal → state and reason of what is left of a population; those gone and not read back yet don't count. */
  population(proposal: string): Promise<Record<string, string>>
  hold(hold: { level: 'subject' | 'table'; key?: readonly string[]; table?: string }): Promise<void>
  /** Every table, ours and theirs. */
  empty(): Promise<void>
  /** A new run with its fence raised, and batches for it. */
  run(): Promise<SmallRun>
  again(): Promise<DeletionPlan>
  close(): Promise<void>
}

export interface SmallRun {
  id: string
  batch(number: bigint, ids: readonly number[], more?: Partial<Batch>): Batch
}

export async function openSmallClinic(): Promise<SmallClinic> {
  const database = await freshDatabase()
  await migrate(database.url, 'target')
  const db = openDatabase(database.url, { name: 'main', applicationName: 'lethe test', max: 8 })
  for (const statement of schema.split(';')) await db.execute(statement)
  const again = async () =>
    planDeletion(map, 'main', { subject: 'person' }, await loadCatalogue(db, ['public']))
  const count: SmallClinic['count'] = async (table, where = 'true') => {
    const [row] = await db.query(
      z.object({ n: z.coerce.number() }),
      `SELECT count(*) AS n FROM ${table} t WHERE ${where}`,
    )
    return row?.n ?? 0
  }
  return {
    url: database.url,
    db,
    plan: await again(),
    again,
    async addPeople(ids) {
      const list = [[...ids]]
      await db.execute(`INSERT INTO addresses SELECT id, 'street ' || id FROM unnest($1::bigint[]) id`, list)
      await db.execute(
        `INSERT INTO people SELECT id, id % 3, 'p' || id || '@example.invalid', id, NULL, now() - interval '40 days' FROM unnest($1::bigint[]) id`,
        list,
      )
      await db.execute(
        `INSERT INTO visits (person_id, note) SELECT id, 'note' FROM unnest($1::bigint[]) id, generate_series(1, 2)`,
        list,
      )
      await db.execute(
        `INSERT INTO samples (person_ref, value) SELECT id, 'value' FROM unnest($1::bigint[]) id, generate_series(1, 3)`,
        list,
      )
    },
    async propose(ids, weights = {}) {
      const proposal = newId()
      await db.execute(
        `INSERT INTO lethe.population (proposal_id, ordinal, root_key, weight)
         SELECT $1, id, ARRAY[id::text], weight FROM unnest($2::bigint[], $3::bigint[]) AS u(id, weight)`,
        [proposal, [...ids], ids.map((id) => weights[id] ?? 7)],
      )
      return proposal
    },
    count,
    async counts() {
      const tables = ['people', 'addresses', 'visits', 'samples', 'invoices']
      return Object.fromEntries(
        await Promise.all(tables.map(async (table) => [table, await count(table)] as const)),
      )
    },
    async population(proposal) {
      const rows = await db.query(
        z.object({ ordinal: z.string(), state: z.string(), reason: z.string().nullable() }),
        `SELECT ordinal, state, reason FROM lethe.population WHERE proposal_id = $1 AND state <> 'erased'`,
        [proposal],
      )
      return Object.fromEntries(rows.map((row) => [row.ordinal, [row.state, row.reason].join(' ').trim()]))
    },
    async hold({ level, key, table }) {
      await db.execute(
        `INSERT INTO lethe.holds (id, level, subject_kind, table_name, key, kind) VALUES ($1, $2, $3, $4, $5, 'complaint')`,
        [newId(), level, level === 'subject' ? 'person' : null, table ?? null, key ?? null],
      )
    },
    async empty() {
      await db.execute(
        `TRUNCATE people, addresses, visits, samples, invoices, app_holds, loose_holds, lethe.population, lethe.holds,
           lethe.kept_roots, lethe.removing`,
      )
    },
    async run() {
      const id = newId()
      await raiseFence(db, id, 1n)
      return {
        id,
        batch: (number, ids, more = {}) => ({
          runId: id,
          fence: 1n,
          number,
          proposalId: null,
          roots: ids.map((root): BatchRoot => ({ ordinal: BigInt(root), key: [String(root)] })),
          guard: isDue,
          wait: false,
          pieceRows: null,
          pseudonymKey: 'secret of the tests',
          ...more,
        }),
      }
    },
    async close() {
      await db.close()
      await database.drop()
    },
  }
}

/** Something that one part of a test waits for and another opens. */
export function latch(): { opened: Promise<void>; open: () => void } {
  let open = () => undefined as void
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** Resolves when a session of this database waits for a lock (on this table, where one is named). */
export async function untilWaiting(db: Database, table?: string): Promise<void> {
  for (;;) {
    const rows = await db.query(
      z.object({ pid: z.number() }),
      `SELECT DISTINCT w.pid FROM pg_locks w JOIN pg_stat_activity a ON a.pid = w.pid
       WHERE NOT w.granted AND a.datname = current_database() AND ($1::text IS NULL OR EXISTS (
         SELECT FROM pg_locks t WHERE t.pid = w.pid AND t.relation = to_regclass($1)))`,
      [table ?? null],
    )
    if (rows.length > 0) return
  }
}
