/** The layout's rules that the linter can't say: each reads the source as it stands. */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { owners, packages, roomOf, rooms, topFolders } from '../support/rooms.ts'

const root = new URL('../..', import.meta.url).pathname
const sources = ['workers', 'jobs', 'lib'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name)),
)

interface Import {
  from: string
  /** Path from the root for a relative import, the specifier for a package. */
  to: string
}

const imports: Import[] = sources.flatMap((file) =>
  [...readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
    ([, specifier = '']) => ({
      from: file,
      to: specifier.startsWith('.')
        ? relative(root, normalize(join(root, dirname(file), specifier)))
        : specifier,
    }),
  ),
)

describe('the house', () => {
  it('imports run downwards only: workers, jobs, lib', () => {
    const rank = (path: string) => ['lib', 'jobs', 'workers'].indexOf(path.split('/')[0] ?? '')
    expect(imports.filter(({ from, to }) => rank(to) > rank(from)).map(show)).toEqual([])
    expect(imports.filter(({ to }) => /^(test|examples)\//.test(to)).map(show)).toEqual([])
  })

  it('a folder of lib is entered through its index.ts only', () => {
    const crossing = imports.filter(({ from, to }) => to.startsWith('lib/') && roomOf(from) !== roomOf(to))
    expect(crossing.filter(({ to }) => to !== `${roomOf(to)}/index.ts`).map(show)).toEqual([])
  })

  it('a room imports exactly the rooms that the table names', () => {
    const found = Object.fromEntries(Object.keys(rooms).map((room) => [room, new Set<string>()]))
    for (const { from, to } of imports) {
      const [own, other] = [nameOf(from), nameOf(to)]
      if (own !== undefined && other !== undefined && own !== other) found[own]?.add(other)
    }
    const sorted = Object.fromEntries(Object.entries(found).map(([room, names]) => [room, [...names].sort()]))
    expect(sorted).toEqual(rooms)
  })

  it('each folder of lib belongs to a room', () => {
    expect(sources.filter((file) => file.startsWith('lib/') && roomOf(file) === undefined)).toEqual([])
  })

  it('no room reaches itself through other rooms', () => {
    const reachable = (from: string, seen = new Set<string>()): Set<string> => {
      for (const next of rooms[from] ?? [])
        if (!seen.has(next)) {
          seen.add(next)
          reachable(next, seen)
        }
      return seen
    }
    expect(Object.keys(rooms).filter((room) => reachable(room).has(room))).toEqual([])
  })

  it('no room imports a higher wing, and record and people do not know each other', () => {
    const below: Readonly<Record<string, readonly string[]>> = {
      base: ['base'],
      data: ['base', 'data'],
      record: ['base', 'data', 'record'],
      people: ['base', 'data', 'people'],
      recovery: ['base', 'data', 'record', 'people', 'recovery'],
      config: ['base', 'data', 'record', 'people', 'config'],
    }
    const wingOf = (room: string) => room.split('/')[0] ?? ''
    const upwards = Object.entries(rooms).flatMap(([room, others]) =>
      others
        .filter((other) => !below[wingOf(room)]?.includes(wingOf(other)))
        .map((other) => `${room} -> ${other}`),
    )
    expect(upwards).toEqual([])
  })

  it('no file reaches itself through its imports, those of types counted', () => {
    const next = Map.groupBy(imports, ({ from }) => from)
    const done = new Set<string>()
    const circles: string[] = []
    const walk = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' > '))
      if (done.has(file)) return
      done.add(file)
      for (const { to } of next.get(file) ?? []) walk(to, [...path, file])
    }
    for (const file of sources) walk(file, [])
    expect(circles).toEqual([])
  })

  it('a folder of more than 16 files has families', () => {
    const flat = new Set(['lib/record/evidence', 'workers/cli'])
    const folders = Map.groupBy(sources, (file) => dirname(file))
    const large = [...folders].filter(([folder, files]) => files.length > 16 && !flat.has(folder))
    expect(large.map(([folder, files]) => `${folder}: ${files.length}`)).toEqual([])
  })

  it('a job knows no other job, and jobs know no transport and no HTTP', () => {
    const folder = (path: string) => path.split('/')[1] ?? ''
    const between = imports.filter(
      ({ from, to }) =>
        /^jobs\/[^/]+\//.test(from) && /^jobs\/[^/]+\//.test(to) && folder(from) !== folder(to),
    )
    expect(between.map(show)).toEqual([])
    expect(
      imports
        .filter(({ from, to }) => from.startsWith('jobs/') && /^(bullmq|ioredis|node:http)/.test(to))
        .map(show),
    ).toEqual([])
  })

  it.each(Object.entries(packages))('%s is imported only in %s', (name, places) => {
    const importers = imports.filter(({ to }) => to === name || to.startsWith(`${name}/`))
    const inside = (file: string, place: string) => file === place || file.startsWith(`${place}/`)
    expect(importers.filter(({ from }) => !places.some((place) => inside(from, place))).map(show)).toEqual([])
    expect(places.filter((place) => !importers.some(({ from }) => inside(from, place)))).toEqual([])
  })

  it('a vendor’s package that is imported stands in the table', () => {
    const vendors = imports.filter(({ to }) => /^@(aws-sdk|sendgrid|supabase)\//.test(to))
    expect(vendors.filter(({ to }) => packages[to] === undefined).map(show)).toEqual([])
  })

  it('the linter refuses what the table does not allow', () => {
    const house = mkdtempSync(join(tmpdir(), 'lethe-house-'))
    try {
      for (const path of ['oxlint.config.ts', 'test/support/rooms.ts'])
        cpSync(join(root, path), join(house, path), { recursive: true })
      symlinkSync(join(root, 'node_modules'), join(house, 'node_modules'))
      mkdirSync(join(house, 'workers'))
      const write = (path: string, specifiers: readonly string[]) => {
        mkdirSync(dirname(join(house, path)), { recursive: true })
        const lines = specifiers.map((name, index) => `export { a as a${index} } from '${name}'\n`)
        writeFileSync(join(house, path), lines.join(''))
      }
      write('lib/base/db/allowed.ts', ['../errors/index.ts', './other.ts', 'pg'])
      write('lib/base/db/deep/allowed.ts', ['../../errors/index.ts', '../other.ts', './other.ts'])
      write('jobs/erasure/allowed.ts', ['../../lib/base/db/index.ts', '../context.ts', './other.ts'])
      write('lib/base/db/refused.ts', [
        '../ledger/index.ts',
        '../errors/error.ts',
        '../../jobs/context.ts',
        'bullmq',
      ])
      write('lib/base/db/deep/refused.ts', [
        '../../ledger/index.ts',
        '../../errors/error.ts',
        '@supabase/auth-js',
      ])
      write('jobs/erasure/refused.ts', [
        '../retention/index.ts',
        '../../lib/db/open.ts',
        '../../workers/main.ts',
      ])
      const { stdout } = spawnSync('oxlint', ['--format', 'unix', '.'], { cwd: house, encoding: 'utf8' })
      const found = stdout
        .split('\n')
        .flatMap((line) => /^(\S+?):(\d+):.*no-restricted-imports/.exec(line)?.slice(1, 3).join(':') ?? [])
      expect(found.toSorted()).toEqual([
        'jobs/erasure/refused.ts:1',
        'jobs/erasure/refused.ts:2',
        'jobs/erasure/refused.ts:3',
        'lib/base/db/deep/refused.ts:1',
        'lib/base/db/deep/refused.ts:2',
        'lib/base/db/deep/refused.ts:3',
        'lib/base/db/refused.ts:1',
        'lib/base/db/refused.ts:2',
        'lib/base/db/refused.ts:3',
        'lib/base/db/refused.ts:4',
      ])
    } finally {
      rmSync(house, { recursive: true })
    }
  })

  it('time and randomness come from lib/base/clock', () => {
    const found = sources
      .filter((file) => !file.startsWith('lib/base/clock/'))
      .filter((file) =>
        /Date\.now\(|new Date\(\)|Math\.random\(|performance\.now\(|randomUUID\(/.test(
          readFileSync(join(root, file), 'utf8'),
        ),
      )
    expect(found).toEqual([])
  })

  it('no business rule and no SQL stands in workers', () => {
    const found = sources
      .filter((file) => file.startsWith('workers/'))
      .filter((file) => /`\s*(SELECT|INSERT|UPDATE|DELETE)\b/.test(readFileSync(join(root, file), 'utf8')))
    expect(found).toEqual([])
  })

  it('every table and function of the migrations has one owning room, and no owner is named for one that is gone', () => {
    expect([...ours()].toSorted()).toEqual(Object.keys(owners).toSorted())
    expect(Object.values(owners).filter((room) => rooms[room] === undefined)).toEqual([])
  })

  it('a table is named in SQL by its owning room only', () => {
    const found = sources
      .filter((file) => !file.startsWith('lib/record/grants/'))
      .flatMap((file) =>
        namedIn(file)
          .filter((name) => owners[name] !== nameOf(file))
          .map((name) => `${file} names ${name}`),
      )
    expect(found).toEqual([])
  })

  it('a key becomes a text by keyText and writtenText only', () => {
    // what is in no key: texts that are searched, and rows told apart within one transaction
    const others = ['lib/data/rows/subject/free-text.ts', 'lib/data/rows/batch/tally.ts']
    const cast = /(sqlColumn\([^)]*\)\}|\bkey\b\}?|\bk\d?\b|\bk\$\{[^}]*\}|\btype\})::text\b(?!\[)/
    const found = sources
      .filter((file) => /^(lib\/data\/rows|lib\/record|jobs)\//.test(file) && !others.includes(file))
      .filter((file) => cast.test(readFileSync(join(root, file), 'utf8')))
    expect(found).toEqual([])
    expect(
      [
        "${sqlColumn('root', column.name)}::text",
        'ARRAY[up.key::text]',
        'given.k${place + 1}::${column.type}::text',
        'SELECT k1::text',
      ].filter((sql) => !cast.test(sql)),
    ).toEqual([])
  })

  it('a file stays under 400 lines and every room of lib has a public file', () => {
    expect(sources.filter((file) => readFileSync(join(root, file), 'utf8').split('\n').length > 400)).toEqual(
      [],
    )
    expect(Object.keys(rooms).filter((room) => !existsSync(join(root, 'lib', room, 'index.ts')))).toEqual([])
    expect(sources.filter((file) => /\/(utils?|helpers?|common|misc)(\.ts|\/)/.test(file))).toEqual([])
  })

  it('the top level holds what was agreed and nothing else', () => {
    const usual =
      /^(package(-lock)?\.json|tsconfig(\.build)?\.json|Dockerfile|docker-compose\.yml|(vitest|oxlint)\.config\.ts|README\.md|CHANGELOG\.md|SECURITY\.md|CONTRIBUTING\.md|LICENSE|\..+)$/
    const artefacts = new Set(['node_modules', 'dist', 'coverage'])
    const found = readdirSync(root).filter(
      (name) => !topFolders.includes(name) && !usual.test(name) && !artefacts.has(name),
    )
    expect(found).toEqual([])
  })
})

/** Tables and functions that the migrations leave behind, with their schema: the control database's `lethe_control`, a target's `lethe`. */
function ours(): Set<string> {
  const found = new Set<string>()
  for (const which of ['control', 'target']) {
    const folder = join(root, 'lib/base/db/migrations', which)
    for (const file of readdirSync(folder).toSorted())
      for (const [, verb, name = ''] of readFileSync(join(folder, file), 'utf8').matchAll(
        /\b(CREATE|DROP)\s+(?:OR REPLACE\s+)?(?:TABLE|FUNCTION|VIEW)\s+(lethe(?:_control)?\.\w+)/g,
      ))
        if (verb === 'CREATE') found.add(name)
        else found.delete(name)
  }
  return found
}

/** What a file names of ours outside its comments: with its schema, and so told apart from the other database's. */
function namedIn(file: string): string[] {
  const code = readFileSync(join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
  return [...new Set(code.match(/\blethe(?:_control)?\.\w+/g) ?? [])].filter((name) => name in owners)
}

/** `base/db` for a file of `lib/base/db`. */
function nameOf(path: string): string | undefined {
  return roomOf(path)?.slice('lib/'.length)
}

function show({ from, to }: Import): string {
  return `${from} imports ${to}`
}
