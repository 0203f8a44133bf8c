/** The registry, the code that throws, and the page that explains: none may know a code that the others don't. */
import { readFileSync, readdirSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LetheError, defineErrors, definedErrors, isErrorCode } from '../../../../../lib/base/errors/index.ts'
import { roomOf, rooms } from '../../../../support/rooms.ts'

const root = new URL('../../../../..', import.meta.url).pathname
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const doors = [
  ...Object.keys(rooms).map((room) => `lib/${room}/index.ts`),
  'jobs/registry.ts',
  'jobs/holds.ts',
  'workers/errors.ts',
]
for (const door of doors) await import(join(root, door))
const entries = [...definedErrors()]
const codes = entries.map(([code]) => code)
const page = sectionsOf(read('runbooks/errors.md'))
const sources = ['workers', 'jobs', 'lib'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.ts') && !/(^lib\/base\/errors\/.*|\/errors\.ts)$/.test(path)),
)

describe('the error registry', () => {
  it('has a section in the runbook for each of its codes, and no section is of a code that is gone', () => {
    expect(page.map(({ code }) => code).toSorted()).toEqual(codes.toSorted())
  })

  it('is explained group by group, in its own order', () => {
    const expected = Map.groupBy(entries, ([, { group }]) => group)
    const found = Map.groupBy(page, ({ group }) => group)
    expect(
      Object.fromEntries([...found].map(([group, sections]) => [group, sections.map(({ code }) => code)])),
    ).toEqual(Object.fromEntries([...expected].map(([group, some]) => [group, some.map(([code]) => code)])))
  })

  it.each(entries)('%s: the runbook tells the exit code and whether it is tried again', (code, entry) => {
    const text = page.find((section) => section.code === code)?.text ?? ''
    expect(text.trimEnd().split('\n').at(-1)).toBe(
      `Exit code ${entry.exit}${entry.retryable ? ', tried again' : ''}.`,
    )
    const lines = text.split('\n').filter((line) => line.trim() !== '').length
    expect(lines).toBeGreaterThanOrEqual(2)
    expect(lines).toBeLessThanOrEqual(6)
  })

  it('knows only exit codes that the command line documents', () => {
    const [, list = ''] = /## Exit codes\n\n([\s\S]*?)\n\n/.exec(read('runbooks/command-line.md')) ?? []
    const documented = list.split('·').map((part) => Number(/^\s*(\d+) /.exec(part)?.[1]))
    expect(documented).toContain(0)
    expect(entries.filter(([, { exit }]) => !documented.includes(exit)).map(([code]) => code)).toEqual([])
  })

  it('has no code that nothing raises', () => {
    const raised = new Set(sources.flatMap((path) => read(path).match(/'E_[A-Z_]+'/g) ?? []))
    expect(codes.filter((code) => !raised.has(`'${code}'`))).toEqual([])
  })

  it('has each code where whoever raises it has entered its room', () => {
    const away = sources.flatMap((path) => {
      const room = roomOf(path) ?? /^jobs\/[^/]+(?=\/)/.exec(path)?.[0]
      const known = reached([path, ...(room === undefined ? [] : [`${room}/index.ts`])])
      return raisedIn(path)
        .filter((code) => !known.has(homes.get(code) ?? ''))
        .map((code) => `${path}: ${code}`)
    })
    expect(away).toEqual([])
  })

  it('takes a code once', () => {
    const again = { E_INTERNAL: { exit: 1, retryable: false, next: 'Look.' } } as const
    expect(() => defineErrors('Again', again)).toThrow('E_INTERNAL is defined twice')
  })

  it('fails loudly for a code whose room was never entered', () => {
    // @ts-expect-error the compiler knows every code
    expect(() => new LetheError('E_NOWHERE', { message: 'It failed.' })).toThrow('no room that was entered')
  })

  it('tells a mend as a sentence, for when the thrower has nothing more exact to say', () => {
    expect(entries.filter(([, { next }]) => !/^[A-Z].*\.$/.test(next)).map(([code]) => code)).toEqual([])
  })

  it('leads from an error to its section', () => {
    const anchors = page.map(({ code }) => `runbooks/errors.md#${code.toLowerCase()}`)
    const linked = codes
      .filter(isErrorCode)
      .map((code) => new LetheError(code, { message: 'It failed.' }).runbook)
    expect(linked.filter((link) => !anchors.includes(link))).toEqual([])
  })
})

interface Section {
  group: string
  code: string
  text: string
}

function sectionsOf(markdown: string): Section[] {
  return markdown
    .split(/^# /m)
    .slice(2)
    .flatMap((part) => {
      const [group = '', ...rest] = part.split('\n')
      return rest
        .join('\n')
        .split(/^## /m)
        .slice(1)
        .map((section) => {
          const [code = '', ...text] = section.split('\n')
          return { group, code, text: text.join('\n') }
        })
    })
}

/** By code, the file that defines it. */
const homes = new Map(
  [...everyFile('errors.ts'), 'lib/base/errors/general.ts'].flatMap((path) =>
    [...read(path).matchAll(/^ {2}(E_[A-Z_]+):/gm)].map(([, code = '']) => [code, path] as const),
  ),
)

function everyFile(name: string): string[] {
  return ['workers', 'jobs', 'lib'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((path) => join(folder, path))
      .filter((path) => basename(path) === name),
  )
}

function raisedIn(path: string): string[] {
  return [...read(path).matchAll(/new LetheError\(\s*'(E_[A-Z_]+)'/g)].map(([, code = '']) => code)
}

/** Every file that is loaded with these, as values are imported: what only a type comes from is not. */
function reached(from: readonly string[]): Set<string> {
  const found = new Set<string>()
  const open = [...from]
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path)) continue
    found.add(path)
    for (const [, specifier = ''] of read(path).matchAll(
      /^(?:import|export) (?!type)[^'"]*?'(\.[^']+\.ts)'/gm,
    ))
      open.push(normalize(join(dirname(path), specifier)))
  }
  return found
}
