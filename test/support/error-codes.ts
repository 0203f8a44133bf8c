/**
 * Defines every room's error codes before a test: tests reach into rooms past their index.ts, which imports the room's
 * own. That the product has them where it raises them is what test/unit/errors/registry.test.ts makes sure of.
 */
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'

const root = join(import.meta.dirname, '../..')
for (const folder of ['lib', 'jobs', 'workers'])
  for (const path of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }))
    if (basename(path) === 'errors.ts') await import(join(root, folder, path))
