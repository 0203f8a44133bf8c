/**
 * The purge bench's data: six tables, 20 rows a subject (1 root, 19 children), a tenth of the subjects due. Foreign keys
 * cascade, are indexed and enforced by the ordinary triggers. Built once as a template database; every measured run
 * works on a fresh copy of it.
 */
import pg from 'pg'

export const children = [
  { table: 'appointments', perSubject: 4 },
  { table: 'messages', perSubject: 4 },
  { table: 'prescriptions', perSubject: 4 },
  { table: 'observations', perSubject: 4 },
  { table: 'documents', perSubject: 3 },
] as const

export const rowsPerSubject = 1 + children.reduce((sum, child) => sum + child.perSubject, 0)

/** Makes database `name` with `rows` rows in all, of which a tenth (by subject) are due. Returns the number of due subjects. */
export async function buildTemplate(
  adminUrl: string,
  name: string,
  rows: number,
  dueShare: number,
): Promise<number> {
  const subjects = Math.round(rows / rowsPerSubject)
  const every = Math.round(1 / dueShare)
  await withClient(adminUrl, async (admin) => {
    await admin.query(`DROP DATABASE IF EXISTS ${name}`)
    await admin.query(`CREATE DATABASE ${name}`)
  })
  await withClient(databaseUrl(adminUrl, name), async (client) => {
    await client.query(`CREATE TABLE patients (
      id bigint NOT NULL, organisation_id int NOT NULL, full_name text NOT NULL, email text NOT NULL, deleted_at timestamptz)`)
    // due subjects are spread over the whole table, as in life
    await client.query(
      `INSERT INTO patients SELECT i, i % 50, 'Person ' || i, 'p' || i || '@example.invalid',
        CASE WHEN i % $2 = 0 THEN now() - interval '40 days' - (i % 1000) * interval '1 minute' END
       FROM generate_series(1, $1::bigint) i`,
      [subjects, every],
    )
    for (const child of children) {
      await client.query(
        `CREATE TABLE ${child.table} (id bigint NOT NULL, patient_id bigint NOT NULL, at timestamptz NOT NULL, body text NOT NULL)`,
      )
      await client.query(
        `INSERT INTO ${child.table}
         SELECT row_number() OVER (), 1 + (i * 7919) % $1, now() - (i % 3000) * interval '1 hour', md5(i::text) || md5((i + 1)::text)
         FROM generate_series(1, $1::bigint * $2) i`,
        [subjects, child.perSubject],
      )
    }
    await client.query(`SET maintenance_work_mem = '512MB'`)
    await client.query('ALTER TABLE patients ADD PRIMARY KEY (id)')
    await client.query('CREATE INDEX ON patients (deleted_at) WHERE deleted_at IS NOT NULL')
    for (const child of children) {
      await client.query(`ALTER TABLE ${child.table} ADD PRIMARY KEY (id)`)
      await client.query(`CREATE INDEX ON ${child.table} (patient_id)`)
      await client.query(
        `ALTER TABLE ${child.table} ADD FOREIGN KEY (patient_id) REFERENCES patients (id) ON DELETE CASCADE`,
      )
    }
    await client.query('VACUUM ANALYZE')
    await client.query('CHECKPOINT')
  })
  return Math.floor(subjects / every)
}

/** A fresh copy of the template, with its pages written out, so that no contender pays for the copy. */
export async function cloneTemplate(adminUrl: string, template: string, name: string): Promise<string> {
  await withClient(adminUrl, async (admin) => {
    await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY FILE_COPY`)
    await admin.query('CHECKPOINT')
  })
  return databaseUrl(adminUrl, name)
}

export async function dropDatabase(adminUrl: string, name: string): Promise<void> {
  await withClient(adminUrl, (admin) => admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
}

export function databaseUrl(adminUrl: string, name: string): string {
  const url = new URL(adminUrl)
  url.pathname = `/${name}`
  return url.toString()
}

export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
