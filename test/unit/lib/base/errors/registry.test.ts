/** The registry, the code that throws, and the page that explains: none may know a code that the others don't. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LetheError, registry, type ErrorCode } from '../../../../../lib/base/errors/index.ts'

const root = new URL('../../../../..', import.meta.url).pathname
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const entries = Object.entries(registry)
const codes = entries.map(([code]) => code)
const page = sectionsOf(read('runbooks/errors.md'))
const sources = ['workers', 'jobs', 'lib'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.ts') && !path.startsWith('lib/base/errors/')),
)

describe('the error registry', () => {
  it('has a section in the runbook for each of its codes, and no section is of a code that is gone', () => {
    expect(page.map(({ code }) => code).toSorted()).toEqual(codes.toSorted())
  })

  it('is explained group by group, in its own order', () => {
    const expected = groupsOf(read('lib/base/errors/registry.ts'))
    const found = Map.groupBy(page, ({ group }) => group.toLowerCase())
    expect([...found].map(([group, sections]) => [group, sections.map(({ code }) => code)])).toEqual(expected)
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

  it('tells a mend as a sentence, for when the thrower has nothing more exact to say', () => {
    expect(entries.filter(([, { mend }]) => !/^[A-Z].*\.$/.test(mend)).map(([code]) => code)).toEqual([])
  })

  it('leads from an error to its section', () => {
    const anchors = page.map(({ code }) => `runbooks/errors.md#${code.toLowerCase()}`)
    const linked = codes.filter(isCode).map((code) => new LetheError(code, { message: 'It failed.' }).runbook)
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

/** The comments that part the registry, each with the codes below it. */
function groupsOf(source: string): [string, string[]][] {
  return (source.split('export const registry')[1] ?? '')
    .split(/^ {2}\/\/ /m)
    .slice(1)
    .map((part) => [
      part.split('\n')[0] ?? '',
      [...part.matchAll(/^ {2}(E_[A-Z_]+):/gm)].map(([, code = '']) => code),
    ])
}

function isCode(text: string): text is ErrorCode {
  return Object.hasOwn(registry, text)
}
