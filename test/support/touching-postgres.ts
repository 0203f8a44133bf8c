/**
 * Which test files run on another PostgreSQL too: those that touch it, read from the files themselves. A file does that takes
 * a database or starts a server, or imports a file of the tests or examples that does.
 *
 * Left out is test/crash, for its time: it kills a worker at each message that it sends, and the other tests send the same
 * messages. `LETHE_TEST_POSTGRES=18 npm test -- test/crash` runs it.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = new URL('../../', import.meta.url).pathname
/** What gives a PostgreSQL. */
const gives = /\b(?:startPostgres|postgresUrl|freshDatabase|createTestDatabase)\b/
/** These have the names above; an import of them alone says nothing: they give Redis and S3, too. */
const givers = ['servers/servers', 'servers/shared', 'servers/postgres', 'cluster', 'touching-postgres'].map(
  (name) => `test/support/${name}.ts`,
)

/** Paths from the root, sorted. */
export function testsTouchingPostgres(): string[] {
  const known = new Map<string, boolean>(givers.map((giver) => [giver, false]))
  return readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && !name.startsWith('crash/'))
    .map((name) => join('test', name))
    .filter((file) => touches(file, known))
    .sort()
}

function touches(file: string, known: Map<string, boolean>): boolean {
  const before = known.get(file)
  if (before !== undefined) return before
  // for a file that leads back here, until this one is known
  known.set(file, false)
  const text = readFileSync(join(root, file), 'utf8')
  const found = gives.test(text) || importsOf(file, text).some((imported) => touches(imported, known))
  known.set(file, found)
  return found
}

/** Its imports within the tests and examples: what the product does with a database, the test gives it. */
function importsOf(file: string, text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+\.ts)'/g)]
    .map(([, specifier = '']) => join(dirname(file), specifier))
    .filter((path) => /^(?:test|examples)\//.test(path) && existsSync(join(root, path)))
}
