/** The smallest application that has something to forget: people who deleted their account, and their notes. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { loadConfig, type Config } from '../../../lib/config/index.ts'
import { makeFolder } from '../servers/process.ts'
import { createTestDatabase } from '../servers/postgres.ts'

export interface SmallApp {
  folder: string
  controlUrl: string
  appUrl: string
  /** For a child process: addresses, configuration, keystore. */
  env: Record<string, string>
  /** Writes lethe.yaml anew with these keys put over the first ones. */
  configure(changes?: Readonly<Record<string, unknown>>): Config
  sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  control(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  drop(): Promise<void>
}

export const canary = 'canary.person@example.org'

const schema = `
  CREATE TABLE people (id bigint PRIMARY KEY, email text NOT NULL, deleted_at timestamptz);
  CREATE TABLE notes (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, body text NOT NULL);
  CREATE INDEX ON notes (person_id);
  CREATE MATERIALIZED VIEW note_counts AS SELECT person_id, count(*) AS n FROM notes GROUP BY person_id;
  CREATE UNIQUE INDEX ON note_counts (person_id);
  INSERT INTO people SELECT n, CASE n WHEN 1 THEN '${canary}' ELSE 'p' || n || '@example.org' END,
    CASE WHEN n <= 5 THEN now() - interval '1 year' END FROM generate_series(1, 200) AS n;
  INSERT INTO notes SELECT n, 1 + n % 200, 'note' FROM generate_series(1, 1000) AS n;`

const file = {
  version: 1,
  stores: { app: { kind: 'postgres', url: 'env:APP_URL' } },
  subjects: { person: { store: 'app', root: 'public.people', contact: 'root.email' } },
  tables: {
    app: {
      'public.people': { columns: { none: ['id', 'deleted_at'], contact: ['email'] }, action: 'delete' },
      'public.notes': {
        columns: { none: ['id', 'person_id'], 'free-text': ['body'] },
        edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
        action: 'delete',
      },
    },
  },
  policies: {
    closed: {
      subject: 'person',
      when: 'soft-deleted',
      clock: 'root.deleted_at',
      records_class: 'Closed accounts',
    },
  },
  operations: { health_port: 0, lease_seconds: 5 },
}

export async function createSmallApp(postgresUrl: string, redisUrl: string): Promise<SmallApp> {
  const folder = makeFolder('app')
  const [control, app] = await Promise.all([createTestDatabase(postgresUrl), createTestDatabase(postgresUrl)])
  const env = {
    LETHE_CONTROL_URL: control.url,
    LETHE_REDIS_URL: redisUrl,
    LETHE_CONFIG: join(folder, 'lethe.yaml'),
    LETHE_KEYSTORE: join(folder, 'keystore.json'),
    APP_URL: app.url,
  }
  const configure = (changes: Readonly<Record<string, unknown>> = {}) => {
    // JSON is YAML
    writeFileSync(env.LETHE_CONFIG, JSON.stringify({ ...file, ...changes }, null, 2))
    return loadConfig(env.LETHE_CONFIG, env)
  }
  const query =
    (url: string) =>
    async (text: string, values: unknown[] = []) => {
      const client = new pg.Client({ connectionString: url })
      client.on('error', () => undefined)
      await client.connect()
      try {
        const result = values.length === 0 ? await client.query(text) : await client.query(text, values)
        // several statements in one text give several results
        const last: { rows?: Record<string, unknown>[] } | undefined = Array.isArray(result)
          ? result.at(-1)
          : result
        return last?.rows ?? []
      } finally {
        await client.end()
      }
    }
  await query(app.url)(schema)
  configure()
  return {
    folder,
    controlUrl: control.url,
    appUrl: app.url,
    env,
    configure,
    sql: query(app.url),
    control: query(control.url),
    async drop() {
      await Promise.all([control.drop(), app.drop()])
    },
  }
}
