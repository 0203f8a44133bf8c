/**
 * Erasure requests over several real stores: people with rows in PostgreSQL and sessions in Redis, letters and parcels at two
 * processors that fail as a test wants, and an archive that is only declared. Worked without a queue, as the retention house.
 */
import { Redis } from 'ioredis'
import { z } from 'zod'
import {
  getRequest,
  legsOf,
  type Created,
  type ErasureRequest,
  type Leg,
} from '../../../lib/record/requests/index.ts'
import {
  askedStatement,
  ensureCascade,
  requestErasure,
  requestStatement,
  resolveSubject,
  type Asked,
  type By,
} from '../../../jobs/erasure/index.ts'
import type { DecisionVerb } from '../../../lib/people/identity/index.ts'
import { openRetentionHouse, type RetentionHouse, type Signer } from './retention-house.ts'
import { startRedis } from '../servers/servers.ts'
import { startWebhookProcessor, type WebhookProcessor } from '../vendors/webhook-processor.ts'

export const processors = ['letters', 'parcels'] as const
export const stores = ['app', 'archive', 'letters', 'parcels', 'sessions'] as const

/** A table of rows that a person owns. */
export const owned = (columns: Record<string, string[]>, more: Record<string, unknown> = {}) => ({
  columns,
  edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
  action: 'delete',
  ...more,
})

/** Of its database, as the map has them. */
export const tables = {
  app: {
    'public.people': {
      columns: {
        none: ['id', 'tenant', 'keep', 'deleted_at', 'last_seen', 'naive_at', 'is_active', 'claimed'],
        contact: ['email'],
        identity: ['born'],
        credentials: ['password'],
      },
      action: 'delete',
      pseudonymise: { email: { set: null }, born: { set: null }, password: { set: null } },
    },
    'public.visits': owned({ none: ['id', 'person_id'] }),
    'public.records': owned({ none: ['id', 'person_id', 'keep_until'] }, { class: 'care' }),
    'public.messages': owned({ none: ['id', 'person_id', 'sent_at'] }),
    'public.loose': owned({ none: ['person_id'], 'free-text': ['note'] }),
  },
}

const webhook = (name: string) => ({
  kind: 'webhook',
  url: `env:${name}_URL`,
  secret: `env:${name}_SECRET`,
  sends: ['email'],
  places: ['letters', 'invoices'],
  allow_private: true,
})

export const otherStores = {
  sessions: {
    kind: 'redis',
    url: 'env:SESSIONS_URL',
    places: [{ name: 'sessions', scan: 'session:{id}:*' }],
  },
  letters: webhook('LETTERS'),
  parcels: webhook('PARCELS'),
  archive: { kind: 'declared', owner: 'operations', holds: 'log archive', gone_after: '30 days' },
}

const person = {
  store: 'app',
  root: 'public.people',
  tenant: 'tenant',
  contact: 'root.email',
  identifiers: { email: { sql: 'root.email', unique: true } },
  holds: [{ name: 'claim', sql: 'root.claimed' }],
  access: {
    set: [{ table: 'public.people', where: 't.id = root.id', columns: { is_active: false, password: '!' } }],
    stores: ['sessions'],
  },
  other_stores: Object.keys(otherStores),
}

export interface ErasureHouse extends Omit<RetentionHouse, 'configure' | 'empty'> {
  readonly letters: WebhookProcessor
  readonly parcels: WebhookProcessor
  readonly sessions: Redis
  readonly sessionsUrl: string
  /** Puts keys over the configuration, over the one kind of subject, over stores. */
  configure(
    changes?: Readonly<Record<string, unknown>>,
    subject?: Readonly<Record<string, unknown>>,
    stores?: Readonly<Record<string, unknown>>,
  ): Promise<void>
  /** Nothing of anybody anywhere, and nothing in Lethe's record; the first configuration. */
  empty(): Promise<void>
  /** People with these ids: rows, two sessions, two letters and two parcels each. */
  people(...ids: number[]): Promise<void>
  /** An Art. 17 request for this person, identity checked by staff, unless something else is said. */
  ask(id: number, given?: Partial<Asked>, by?: Signer): Promise<Created>
  /** As an application does in its own transaction. `more`: further named arguments. */
  askSql(id: number | string, more?: string): Promise<string>
  by(
    verb: DecisionVerb,
    id: string,
    facts?: Readonly<Record<string, string | null>>,
    signer?: Signer,
  ): Promise<By>
  /** Everything that is due later is due now: an hour, a day, a grace period passes. */
  pass(): Promise<void>
  /** Everything that is due later is due now, and is worked off: an hour, a day, a grace period passes. */
  later(): Promise<void>
  request(id: string): Promise<ErasureRequest>
  legs(id: string): Promise<Record<string, Leg>>
  /** Of a person, by store; the archive isn't asked. Nothing of them: all 0. */
  left(id: number): Promise<Record<string, number>>
  /** Persons (`app:1`, `letters:1`) that the ledger says are erased, in order. */
  ledger(...ids: number[]): Promise<string[]>
}

export const emailOf = (id: number) => `p${id}@example.org`

/** `env` is added to what the context reads. */
export async function openErasureHouse(env: Readonly<Record<string, string>> = {}): Promise<ErasureHouse> {
  const [redis, letters, parcels] = await Promise.all([
    startRedis({ own: true }),
    startWebhookProcessor(),
    startWebhookProcessor(),
  ])
  const sessions = new Redis(redis.url)
  const base = await openRetentionHouse({
    SESSIONS_URL: redis.url,
    NOWHERE_REDIS: 'redis://127.0.0.1:1',
    LETTERS_URL: letters.url,
    LETTERS_SECRET: letters.secret,
    PARCELS_URL: parcels.url,
    PARCELS_SECRET: parcels.secret,
    ...env,
  })
  await base.app.execute(
    `ALTER TABLE people ADD COLUMN is_active boolean NOT NULL DEFAULT true, ADD COLUMN password text,
       ADD COLUMN claimed boolean NOT NULL DEFAULT false`,
  )

  const configure: ErasureHouse['configure'] = (changes = {}, subject = {}, stores = {}) =>
    base.configure({
      stores: { app: { kind: 'postgres', url: 'env:APP_URL' }, ...otherStores, ...stores },
      subjects: { person: { ...person, ...subject } },
      tables,
      policies: {},
      ...changes,
    })
  await configure()

  const pass = async () => {
    await base.app.execute(
      'UPDATE lethe.intake SET next_at = clock_timestamp() WHERE taken_at IS NULL AND next_at IS NOT NULL',
    )
    await base.control.execute('DELETE FROM lethe_control.paces')
    await base.control.execute(
      'UPDATE lethe_control.erasure_requests SET grace_until = least(grace_until, clock_timestamp())',
    )
    for (const table of ['erasure_requests', 'erasure_legs'])
      await base.control.execute(
        `UPDATE lethe_control.${table} SET next_at = clock_timestamp() WHERE next_at BETWEEN clock_timestamp() AND '9999-01-01'`,
      )
    await ensureCascade(base.context, 'person')
  }

  return {
    ...base,
    get context() {
      return base.context
    },
    letters,
    parcels,
    sessions,
    sessionsUrl: redis.url,
    configure,
    async empty() {
      await base.empty()
      await sessions.flushall()
      letters.reset()
      parcels.reset()
      await configure()
    },
    async people(...ids: number[]) {
      await base.app.execute(
        `INSERT INTO people (id, tenant, email, password)
         SELECT id, id % 1000, 'p' || id || '@example.org', 'hash of ' || id FROM unnest($1::bigint[]) id`,
        [ids],
      )
      await base.app.execute('INSERT INTO visits SELECT id * 10, id FROM unnest($1::bigint[]) id', [ids])
      await base.app.execute(
        `INSERT INTO records SELECT id * 10, id, now() + interval '5 years' FROM unnest($1::bigint[]) id`,
        [ids],
      )
      for (const id of ids) {
        await sessions.mset(`session:${id}:a`, 'x', `session:${id}:b`, 'x')
        letters.letters.set(emailOf(id), 2)
        parcels.letters.set(emailOf(id), 2)
      }
    },
    async ask(id: number, given: Partial<Asked> = {}, by: Signer = 'desk') {
      const asked: Asked = {
        subject: 'person',
        who: { key: [String(id)] },
        kind: 'article-17',
        requester: 'subject',
        immediate: false,
        identity: 'staff-check',
        ...given,
      }
      const key = await resolveSubject(base.context, asked)
      const signed = await base.sign(askedStatement(base.context, asked, key, 'ticket 7'), by)
      return requestErasure(base.context, asked, key, signed)
    },
    async askSql(id: number | string, more = `kind => 'article-17', identity => 'signed-in-session'`) {
      const [row] = await base.app.query(
        z.object({ id: z.string() }),
        `SELECT lethe.request_erasure('person', ARRAY[$1::text], ${more}) AS id`,
        [String(id)],
      )
      await ensureCascade(base.context, 'person')
      return row?.id ?? ''
    },
    async by(
      verb: DecisionVerb,
      id: string,
      facts: Readonly<Record<string, string | null>> = {},
      signer: Signer = 'cto',
    ): Promise<By> {
      return { attested: await base.sign(requestStatement(verb, id, facts, 'ticket 7'), signer) }
    },
    pass,
    async later() {
      await pass()
      await base.work()
    },
    request: (id: string) => getRequest(base.control, id),
    async legs(id: string) {
      return Object.fromEntries((await legsOf(base.control, [id])).map((leg) => [leg.store, leg]))
    },
    async left(id: number) {
      const [rows] = await base.app.query(
        z.object({ n: z.coerce.number() }),
        `SELECT (SELECT count(*) FROM people WHERE id = $1) + (SELECT count(*) FROM visits WHERE person_id = $1)
           + (SELECT count(*) FROM records WHERE person_id = $1) AS n`,
        [id],
      )
      return {
        app: rows?.n ?? -1,
        sessions: (await sessions.keys(`session:${id}:*`)).length,
        letters: letters.letters.get(emailOf(id)) ?? 0,
        parcels: parcels.letters.get(emailOf(id)) ?? 0,
      }
    },
    async ledger(...ids: number[]) {
      const hashes = new Map(
        ids.map((id) => [
          base.context.keystore.subjectHash('app', 'person', [String(id)]).toString('hex'),
          id,
        ]),
      )
      const rows = await base.control.query(
        z.object({ store: z.string(), hash: z.string() }),
        `SELECT DISTINCT s.store, encode(newest.subject_hash, 'hex') AS hash FROM (
           SELECT DISTINCT ON (scope_id, subject_hash) scope_id, subject_hash, entry FROM lethe_control.erasures
           ORDER BY scope_id, subject_hash, id DESC) AS newest JOIN lethe_control.erasure_scopes s ON s.id = newest.scope_id
         WHERE newest.entry = 'erase'`,
      )
      return rows.map(({ store, hash }) => `${store}:${hashes.get(hash) ?? 'nobody known'}`).sort()
    },
    async close() {
      sessions.disconnect()
      await base.close()
      await Promise.all([letters.close(), parcels.close(), redis.stop()])
    },
  }
}
