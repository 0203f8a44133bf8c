/** `tsc` emits code only: copies the SQL and JSON files that stand beside it into the build. */
import { cpSync } from 'node:fs'

const [out = 'dist'] = process.argv.slice(2)
cpSync('lib', `${out}/lib`, {
  recursive: true,
  filter: (source) => !/\.[a-z]+$/.test(source) || /\.(sql|json)$/.test(source),
})
