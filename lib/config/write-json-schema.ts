/** `node lib/config/write-json-schema.ts`: writes lethe.schema.json anew; a test fails while it is stale. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configJsonSchema } from './json-schema.ts'

writeFileSync(
  join(import.meta.dirname, 'lethe.schema.json'),
  `${JSON.stringify(configJsonSchema(), null, 2)}\n`,
)
