/** The linter's rules. Who may import what comes from the table in `test/support/rooms.ts`. */
import { readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { defineConfig, type OxlintOverride } from 'oxlint'
import { mayImport, packages, roomOf } from './test/support/rooms.ts'

const clock = { message: 'time and randomness come from lib/base/clock' }

export default defineConfig({
  plugins: ['typescript', 'import', 'unicorn', 'oxc', 'promise', 'node'],
  categories: { correctness: 'error', suspicious: 'error' },
  ignorePatterns: ['dist', 'node_modules'],
  rules: {
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-non-null-assertion': 'error',
    'typescript/ban-ts-comment': 'error',
    'typescript/no-unsafe-type-assertion': 'off',
    'typescript/no-unnecessary-type-assertion': 'error',
    'import/no-cycle': 'error',
    'import/no-unassigned-import': 'off',
    'no-await-in-loop': 'off',
    'no-shadow': 'off',
    'unicorn/no-array-sort': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'import/no-named-as-default-member': 'off',
  },
  overrides: [
    {
      files: ['lib/**/*.ts', 'jobs/**/*.ts', 'workers/**/*.ts'],
      rules: {
        'no-console': 'error',
        'no-restricted-properties': [
          'error',
          { object: 'Date', property: 'now', ...clock },
          { object: 'Math', property: 'random', ...clock },
          { object: 'performance', property: 'now', ...clock },
        ],
        'max-lines': ['error', { max: 400 }],
      },
    },
    { files: ['lib/base/clock/**/*.ts'], rules: { 'no-restricted-properties': 'off' } },
    {
      files: [
        'lib/data/{datamap,deletion}/**/*.ts',
        'test/**/{datamap,deletion}/**/*.ts',
        'test/**/{receipt,shared-rows}.test.ts',
      ],
      rules: { 'unicorn/no-thenable': 'off' },
    },
    ...importRules(),
  ],
})

/** One override a folder: the linter takes only the last that fits a file, so each is whole. */
function importRules(): OxlintOverride[] {
  const folders = ['workers', 'jobs', 'lib'].flatMap((top) => [
    top,
    ...readdirSync(join(import.meta.dirname, top), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => relative(import.meta.dirname, join(entry.parentPath, entry.name))),
  ])
  // a package that a single file may import: that file comes after its folder
  const files = Object.values(packages)
    .flat()
    .filter((place) => place.endsWith('.ts'))
  return [
    ...folders.map((folder) => importRule(folder, `${folder}/*.ts`)),
    ...files.map((file) => importRule(file, file)),
  ]
}

function importRule(place: string, files: string): OxlintOverride {
  const folder = place.endsWith('.ts') ? dirname(place) : place
  const patterns = [pathsOutside(folder), ...packagesElsewhere(place)]
  return { files: [files], rules: { 'no-restricted-imports': ['error', { patterns }] } }
}

/** Every path that leaves the folder's room, but for those that the table allows. */
function pathsOutside(folder: string) {
  const from = (path: string) => relative(folder, path).replace(/^(?!\.)/, './')
  const room = roomOf(folder)
  const edge = room ?? folder.split('/').slice(0, 2).join('/')
  const allowed = mayImport(folder).map((path) => `!${from(path)}`)
  return {
    group: [`${from(dirname(edge))}/**`, ...(edge.includes('/') ? [] : ['./*/**']), ...allowed],
    message: `${edge} imports only what test/support/rooms.ts allows it, and a room through its index.ts`,
  }
}

function packagesElsewhere(place: string) {
  return Object.entries(packages)
    .filter(([, places]) => !places.some((own) => place === own || place.startsWith(`${own}/`)))
    .map(([name, places]) => ({
      group: [name, `${name}/**`],
      message: `${name} is imported only in ${places.join(', ')}`,
    }))
}
