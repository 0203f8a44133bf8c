/**
 * The form of keys that a scan looks for. A value ends at the character behind its placeholder, its boundary; therefore
 * one look at a key says whose it is, however many subjects are looked for. Keys and values here are binary: each
 * character is one byte, because a key needn't be UTF-8.
 */
import { LetheError } from '../../../../base/errors/index.ts'
import { expand, partsOf, type Identifiers } from '../../../datamap/index.ts'

export interface ScanTemplate {
  /** What a subject's keys hold at the placeholders; compared as one text. Throws E_IDENTIFIER. */
  values(identifiers: Identifiers): string[]
  /** Subjects whose key it is, by what they hold at the placeholders; a `*` may let it be read in more than one way. */
  owners(key: string, wanted: Wanted): Set<number>
  /** For the server's MATCH: with these values, or with anything in their place. */
  glob(values: string | null): string
}

/** Subjects, by number in the call, by values. */
export type Wanted = ReadonlyMap<string, ReadonlySet<number>>

type Token = { text: string } | { any: true } | { name: string; end: string; start: string }

const between = '\0'
const boundary = /^[!-/:-@[-`{-~]$/

export function scanTemplate(template: string, refuse: (why: string) => void): ScanTemplate {
  const tokens = tokensOf(template, refuse)
  const holes = tokens.filter((token) => 'name' in token)

  function walk(key: string, at: number, place: number, found: string, take: (found: string) => void): void {
    const token = tokens[place]
    if (token === undefined) {
      if (at === key.length) take(found)
    } else if ('text' in token) {
      if (key.startsWith(token.text, at)) walk(key, at + token.text.length, place + 1, found, take)
    } else if ('name' in token) {
      const end = key.indexOf(token.end, at)
      if (end > at) walk(key, end, place + 1, found + key.slice(at, end) + between, take)
    } else if (place === tokens.length - 1) take(found)
    else for (let from = at; from <= key.length; from++) walk(key, from, place + 1, found, take)
  }

  return {
    values(identifiers) {
      const texts = expand(holes.map(({ name }) => `{${name}}${between}`).join(''), identifiers)
      for (const text of texts)
        for (const [place, value] of text.split(between).slice(0, -1).entries()) {
          const { name = '', start = '', end = '' } = holes[place] ?? {}
          if (value.includes(end) || (start !== '' && value.includes(start)))
            throw new LetheError('E_IDENTIFIER', {
              message: `A value of identifier ${name} holds the character that ends it in a key: its keys could be another's.`,
              facts: { name },
            })
        }
      return texts.map(toBinary)
    },
    owners(key, wanted) {
      const owners = new Set<number>()
      walk(key, 0, 0, '', (found) => wanted.get(found)?.forEach((subject) => owners.add(subject)))
      return owners
    },
    glob(values) {
      const each = values?.split(between) ?? []
      let hole = 0
      return tokens
        .map((token) => {
          if ('text' in token) return escapeGlob(token.text)
          return 'any' in token || values === null ? '*' : escapeGlob(each[hole++] ?? '')
        })
        .join('')
    },
  }
}

export function toBinary(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

function escapeGlob(text: string): string {
  return text.replaceAll(/[*?[\]\\]/g, String.raw`\$&`)
}

function tokensOf(template: string, refuse: (why: string) => void): Token[] {
  const parts = partsOf(template)
  if (parts.length === 1) refuse('holds no placeholder: it would be the same for every subject')
  const tokens: Token[] = []
  for (const [place, part] of parts.entries()) {
    if (place % 2 === 0) {
      if (/[?[\]\\]/.test(part)) refuse('holds a ?, [, ] or \\ : only * stands for anything')
      tokens.push(...textsOf(part))
      continue
    }
    const end = parts[place + 1]?.[0] ?? ''
    // behind a * a value could begin anywhere, so what stands before it must part it from the rest too
    const start = tokens.some((token) => 'any' in token) ? (parts[place - 1]?.at(-1) ?? '') : null
    for (const edge of [end, ...(start === null ? [] : [start])])
      if (!boundary.test(edge) || edge === '*')
        refuse('has a placeholder without a boundary: user:1 would stand for user:10 too')
    tokens.push({ name: part, end, start: start ?? '' })
  }
  return tokens
}

function textsOf(literal: string): Token[] {
  return literal
    .split(/(\*+)/)
    .filter((text) => text !== '')
    .map((text) => (text.startsWith('*') ? { any: true } : { text: toBinary(text) }))
}
