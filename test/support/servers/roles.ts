/** For one test file: names of roles that nobody else on the server has, and that are gone when the file has ended. */
import { randomBytes } from 'node:crypto'
import { aroundAll, inject } from 'vitest'
import { dropRoles, rolePrefix } from './server-roles.ts'

/**
 * A name for each label; called at the top of a file or a `describe`, before any of the roles is made. Roles of these names
 * are dropped at the end with all they were given, also where a test or a hook failed.
 */
export function testRoles<L extends string>(...labels: readonly L[]): Readonly<Record<L, string>> {
  const suffix = randomBytes(4).toString('hex')
  const names = Object.fromEntries(labels.map((label) => [label, `${rolePrefix()}${label}_${suffix}`]))
  aroundAll(async (run) => {
    try {
      await run()
    } finally {
      await dropRoles(inject('postgresUrl'), Object.values(names))
    }
  })
  return names as Record<L, string>
}
