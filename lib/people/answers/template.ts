/** Texts with placeholders: what is wrong with one, and what one says with its facts in it. */
import { LetheError } from '../../base/errors/index.ts'
import { oneLine, wrap } from './mail.ts'
import type { Definition } from './texts.ts'

const PLACEHOLDER = /\{([?!]?)([a-z_]+)\}/g
const CONDITIONS = /^(?:\{[?!][a-z_]+\})+/
/** Also of a text: its paragraphs are parted by line feeds and by nothing else. */
const UNSEEN = /[^\P{Cc}\n]|[\p{Cs}\p{Zl}\p{Zp}\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/u
const TAG = /<[a-z/!]/i

/** What a text may name; a line of a list names its own facts only. */
export type Names = Pick<Definition, 'always' | 'sometimes' | 'lists' | 'flags'>

/** Sentences about what is wrong with the text of a mail; empty where it can be used. */
export function textProblems(text: string, definition: Definition): string[] {
  const paragraphs = paragraphsOf(text)
  return [
    ...problems(text, definition),
    ...paragraphs.flatMap((paragraph) => paragraphProblems(paragraph, definition)),
    ...definition.needed
      .filter((name) => !paragraphs.some((paragraph) => tells(paragraph, name, definition)))
      .map((name) =>
        definition.flags.includes(name)
          ? `lacks a paragraph that begins with {?${name}}`
          : `lacks {${name}}, behind no condition but its own`,
      ),
  ]
}

/** Whether the paragraph says this whenever there is something to say. */
function tells(paragraph: string, name: string, { flags }: Names): boolean {
  const { head, body } = partsOf(paragraph)
  return head === `{?${name}}`
    ? flags.includes(name) || body.includes(`{${name}}`)
    : head === '' && body.includes(`{${name}}`)
}

/** The same of a subject or a line of a list: one line, and only facts that are always there. */
export function lineProblems(text: string, always: readonly string[]): string[] {
  const names: Names = { always, sometimes: [], lists: [], flags: [] }
  return [
    ...(text.includes('\n') ? ['is more than one line'] : []),
    ...problems(text, names),
    ...(/\{[?!]/.test(text) ? ['has a condition, which only a paragraph of a text can have'] : []),
  ]
}

function problems(text: string, names: Names): string[] {
  const known = [...names.always, ...names.sometimes, ...names.flags]
  const found = [...new Set([...text.matchAll(PLACEHOLDER)].map(nameOf))]
  return [
    ...found
      .filter((name) => !known.includes(name))
      .map(
        (name) => `unknown placeholder {${name}}; known here: ${known.map((one) => `{${one}}`).join(', ')}`,
      ),
    ...(/[{}]/.test(text.replaceAll(PLACEHOLDER, '')) ? ['has a brace that is of no placeholder'] : []),
    ...(text.trim() === '' ? ['is empty'] : []),
    ...(UNSEEN.test(text) ? ['holds a character that nobody sees: of control or of direction'] : []),
    ...(TAG.test(text) ? ['holds what looks like HTML; answers are plain text'] : []),
  ]
}

function paragraphProblems(paragraph: string, { always, sometimes, lists, flags }: Names): string[] {
  const { head, body } = partsOf(paragraph)
  const asked = [...head.matchAll(PLACEHOLDER)].map(nameOf)
  const given = [...head.matchAll(PLACEHOLDER)].filter(([, mark]) => mark === '?').map(nameOf)
  const alone = body.split('\n').map((line) => line.trim())
  const named = [...body.matchAll(PLACEHOLDER)]
  return [
    ...asked
      .filter((name) => always.includes(name))
      .map((name) => `asks for {${name}}, which is always there`),
    ...named.flatMap(([whole, mark = '', name = '']) => {
      if (mark !== '') return [`has the condition ${whole} elsewhere than at the beginning of a paragraph`]
      if (flags.includes(name)) return [`names {${name}}, which can only be a condition`]
      if (sometimes.includes(name) && !given.includes(name))
        return [`names {${name}}, which may be absent, in a paragraph that doesn't begin with {?${name}}`]
      if (lists.includes(name) && !alone.includes(whole))
        return [`names {${name}}, which is a list, beside other words on a line`]
      return []
    }),
  ]
}

/** A fact is one line, or the lines of a list; null or no lines: absent. */
export type Values = Readonly<Record<string, string | readonly string[] | null>>

/** Lines that fit a mail. Facts are put in once: what looks like a placeholder in one stays as it is. Throws E_CONFIG. */
export function fillText(text: string, values: Values): string {
  const paragraphs = paragraphsOf(text).flatMap((paragraph) => {
    const { head, body } = partsOf(paragraph)
    const stands = [...head.matchAll(PLACEHOLDER)].every(
      ([, mark, name = '']) => isThere(valueOf(values, name)) === (mark === '?'),
    )
    if (!stands) return []
    const lines = body.split('\n').flatMap((line) => {
      const [, , name = ''] = /^\s*(\{([a-z_]+)\})\s*$/.exec(line) ?? []
      const value = name === '' ? null : valueOf(values, name)
      return typeof value === 'object' && value !== null ? value : [fillLine(line, values)]
    })
    return [lines.flatMap(wrap).join('\n')]
  })
  return `${paragraphs.join('\n\n')}\n`
}

/** One line, whatever stands in the facts. Throws E_CONFIG. */
export function fillLine(text: string, values: Values): string {
  return oneLine(
    text.replaceAll(PLACEHOLDER, (_whole, _mark, name: string) =>
      [valueOf(values, name) ?? ''].flat().join(', '),
    ),
  )
}

function valueOf(values: Values, name: string): Values[string] {
  const value = Object.hasOwn(values, name) ? values[name] : undefined
  if (value !== undefined) return value
  throw new LetheError('E_CONFIG', { message: `A text of answers has the unknown placeholder {${name}}.` })
}

function isThere(value: Values[string]): boolean {
  return value !== null && value.length > 0
}

function paragraphsOf(text: string): string[] {
  return text.trim().split(/\n[ ]*(?:\n[ ]*)+/)
}

/** Its conditions, and what it says. */
function partsOf(paragraph: string): { head: string; body: string } {
  const [head = ''] = CONDITIONS.exec(paragraph) ?? []
  return { head, body: paragraph.slice(head.length) }
}

function nameOf([, , name = '']: RegExpExecArray): string {
  return name
}
