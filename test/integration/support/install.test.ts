import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { upgradePostgres } from '../../support/servers/install.ts'
import { makeFolder } from '../../support/servers/process.ts'

/** A program that prints what a `postgres` of that release prints. */
function printing(version: string): string {
  const path = join(makeFolder('install'), 'postgres')
  writeFileSync(path, `#!/bin/sh\necho 'postgres (PostgreSQL) ${version}'\n`, { mode: 0o755 })
  return path
}

it('a PostgreSQL below its fixed minor release that apt-get did not install is refused with what to do', async () => {
  const program = printing('15.18')
  await expect(upgradePostgres(program)).rejects.toThrow(
    `PostgreSQL 15.18 (${program}) lacks security fixes: 15.20 has them. It isn't Debian's: upgrade it the way it was installed.`,
  )
})

it.each(['15.20 (Debian 15.20-0+deb12u1)', '19beta2'])('PostgreSQL %s is left as it is', async (version) => {
  await upgradePostgres(printing(version))
})

it('a program that does not start is reported with what it said', async () => {
  await expect(upgradePostgres('/nowhere/postgres')).rejects.toThrow('/nowhere/postgres does not start')
})
