/**
 * Roles belong to the whole server, which may be the environment's and outlive the run: what a run adds it takes away. Set
 * up beside the servers: the run fails where a role is left behind at its end.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { TestProject } from 'vitest/node'

/** Names that Lethe itself gives: two files may need them at once, so nobody drops them before the end of the run. */
const common = ['lethe_worker', 'lethe_operator', 'lethe_approver', 'lethe_auditor', 'lethe_retention']

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  process.env['LETHE_TEST_RUN'] = randomBytes(4).toString('hex')
  return watchRoles(project.getProvidedContext().postgresUrl)
}

/** What every role's name of this run begins with. */
export function rolePrefix(): string {
  return `lethe_test_${process.env['LETHE_TEST_RUN'] ?? ''}_`
}

/** Drops Lethe's own names at the end where they are new, and fails the run where any other role of it is left. */
async function watchRoles(url: string): Promise<() => Promise<void>> {
  const before = await rolesOn(url)
  return async () => {
    const added = (await rolesOn(url)).filter((name) => !before.includes(name))
    for (const name of common.filter((known) => added.includes(known))) await dropUnused(url, name)
    const left = ofThisRun(added)
    if (left.length === 0) return
    // Nothing is thrown: the servers would not be stopped then.
    process.stderr.write(
      `Tests left roles behind on the server: ${left.join(', ')}; see test/support/servers/roles.ts.\n`,
    )
    process.exitCode = 1
  }
}

/** Of roles that were added meanwhile: not Lethe's own names, and none of another run that goes on on the same server. */
export function ofThisRun(added: readonly string[]): string[] {
  const others = /^lethe_test_[0-9a-f]{8}_/
  return added.filter(
    (name) => !common.includes(name) && (name.startsWith(rolePrefix()) || !others.test(name)),
  )
}

/** Drops those that are there, with all that any database of the server gave them. */
export async function dropRoles(url: string, names: readonly string[]): Promise<void> {
  const there = (await rolesOn(url)).filter((name) => names.includes(name))
  if (there.length === 0) return
  const list = there.map((name) => pg.escapeIdentifier(name)).join(', ')
  const databases = await ask(
    url,
    `SELECT DISTINCT d.datname AS name FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
     WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = ANY (SELECT oid FROM pg_roles WHERE rolname = ANY ($1))`,
    [there],
  )
  for (const name of databases) {
    const database = new URL(url)
    database.pathname = `/${encodeURIComponent(name)}`
    await ask(database.toString(), `DROP OWNED BY ${list}`)
  }
  await ask(url, `DROP ROLE ${list}`)
}

/** One that a database still uses belongs to another run too, which drops it at its own end. */
async function dropUnused(url: string, name: string): Promise<void> {
  await ask(url, `DROP ROLE IF EXISTS ${pg.escapeIdentifier(name)}`).catch((error: unknown) => {
    const dependent = error instanceof pg.DatabaseError && error.code === '2BP01'
    if (!dependent) throw error
  })
}

async function rolesOn(url: string): Promise<string[]> {
  return ask(url, 'SELECT rolname AS name FROM pg_roles ORDER BY rolname')
}

async function ask(url: string, sql: string, values: unknown[] = []): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(sql, values)
    return rows.map(({ name }) => name)
  } finally {
    await client.end()
  }
}
