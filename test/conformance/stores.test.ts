import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { lacks, stores, untested, type StoreName } from './stores.ts'

const erasers = new URL('../../lib/data/erasers/', import.meta.url)
const here = new URL('./', import.meta.url)

const folders = ['stores', 'processors'].flatMap((family) =>
  readdirSync(new URL(family, erasers), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `${family}/${name}`),
)
/** Names that the files of this folder give to `describeEraser`, by file. */
const described = readdirSync(here)
  .filter((file) => file.endsWith('.test.ts') && file !== 'stores.test.ts')
  .map((file) => ({
    file,
    names: [...readFileSync(new URL(file, here), 'utf8').matchAll(/\bdescribeEraser\(\s*'([^']+)'/g)].map(
      ([, name = '']) => name,
    ),
  }))
const names = (Object.keys(stores) as StoreName[]).sort()

test('every file of the suite describes stores of the table, and every store of the table is described once', () => {
  expect(described.filter((entry) => entry.names.length === 0)).toEqual([])
  expect(described.flatMap((entry) => entry.names).sort()).toEqual(names)
})

test('every eraser is in the suite, or is named with the file that tests it instead', () => {
  const listed = [...names.map((name) => stores[name].eraser), ...Object.keys(untested)]
  expect([...new Set(listed)].sort()).toEqual(folders.toSorted())
  for (const [eraser, { insteadIn }] of Object.entries(untested)) {
    expect(names.map((name): string => stores[name].eraser)).not.toContain(eraser)
    expect(existsSync(new URL(`../${insteadIn}`, here)), insteadIn).toBe(true)
  }
})

test('a store’s tests are in the file of its eraser', () => {
  for (const { file, names: found } of described)
    for (const [, { eraser }] of Object.entries(stores).filter(([name]) => found.includes(name)))
      expect(file.split(/[-.]/)[0], eraser).toBe(eraser.split('/')[1])
})

test('what is lacking is lacking for a reason', () => {
  const reasons = [
    ...names.flatMap((name) => Object.values(lacks(name))),
    ...Object.values(untested).map(({ why }) => why),
  ]
  for (const reason of reasons) expect(reason).toMatch(/^[A-Z].{20,}\.$/)
})
