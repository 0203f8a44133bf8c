/**
 * What leads to a subject outside the rows that a policy deletes: an address, a file's prefix, a vendor's id. Collected
 * before the rows that hold it go; erasers of other stores get it with their plan.
 */
import { randomSecret } from '../../base/clock/index.ts'
import { LetheError } from '../../base/errors/index.ts'

/** Values by name: `{ email: ['a@example.org'], upload: ['3f2a', '77b0'] }`. */
export type Identifiers = Readonly<Record<string, readonly string[]>>

const placeholder = /\{([a-z][a-z0-9_]*)\}/g

/**
 * Every text that a template such as `patients/{id}/{upload}.pdf` stands for, one for each combination of values; none
 * where a name has no value. Throws E_IDENTIFIER for a stray value.
 */
export function expand(template: string, identifiers: Identifiers): string[] {
  const { texts, stray } = expandFit(template, identifiers)
  if (stray !== null) throw stray
  return texts
}

export interface Expanded {
  texts: string[]
  /** E_IDENTIFIER, where a value could not be put into the template: the texts are those of the others. */
  stray: LetheError | null
}

/** As `expand`, but one stray value leaves the texts of the subject's other values. `isStrayed`: which values those are. */
export function expandFit(
  template: string,
  identifiers: Identifiers,
  isStrayed: (value: string) => boolean = isStray,
): Expanded {
  let texts = ['']
  let end = 0
  let stray: LetheError | null = null
  for (const { 0: whole, 1: name = '', index } of template.matchAll(placeholder)) {
    const before = template.slice(end, index)
    const values = valuesIn(identifiers, name)
    const fit = values.filter((value) => !isStrayed(value))
    if (fit.length < values.length) stray ??= strayed(name, values.length - fit.length)
    texts = texts.flatMap((text) => fit.map((value) => `${text}${before}${value}`))
    end = index + whole.length
  }
  return { texts: [...new Set(texts.map((text) => text + template.slice(end)))], stray }
}

/** Of one name; none where nothing is known by it. */
export function valuesIn(identifiers: Identifiers, name: string): readonly string[] {
  return Object.hasOwn(identifiers, name) ? (identifiers[name] ?? []) : []
}

/** Whether a value leads elsewhere, wherever it is put: it is empty or holds a control character. */
export function isStray(value: string): boolean {
  // oxlint-disable-next-line eslint/no-control-regex
  return value === '' || /[\u0000-\u001f\u007f]/.test(value)
}

/** Fixed texts and names in turn: `['patients/', 'id', '/', 'upload', '.pdf']`. */
export function partsOf(template: string): string[] {
  return template.split(placeholder)
}

/** The names that a template needs. */
export function namesIn(template: string): string[] {
  return [...new Set([...template.matchAll(placeholder)].map((match) => match[1] ?? ''))]
}

/** Whether what follows the last value keeps `user:1` from standing for `user:10` too: a sign that no id holds. */
export function isBounded(template: string): boolean {
  return /\}[^\p{L}\p{N}_{}]/u.test(template.slice(template.lastIndexOf('}')))
}

/** Values that lead to nobody, for a probe: sixteen random digits may stand in a text, a number and base64. */
export function ofNobody(templates: readonly string[]): Identifiers {
  const digits = String(randomSecret(8).readBigUInt64BE() % 10n ** 16n).padStart(16, '0')
  return Object.fromEntries(templates.flatMap(namesIn).map((name) => [name, [digits]]))
}

function strayed(name: string, count: number): LetheError {
  return new LetheError('E_IDENTIFIER', {
    message: `${count === 1 ? 'A value' : `${count} values`} of identifier ${name} ${count === 1 ? 'is' : 'are'} empty or not fit for this store, such as one with a control character.`,
    facts: { name, count },
  })
}
