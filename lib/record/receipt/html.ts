/** HTML by a tagged template: what is put in is text and escaped, unless this file made it. */
import { visible } from './atoms.ts'

/** Only `html` makes one. */
class Html {
  readonly #text: string
  constructor(text: string) {
    this.#text = text
  }
  toString(): string {
    return this.#text
  }
}
export type { Html }

export type Part = string | number | Html | readonly Html[]

/** Safe between tags and inside attributes that are quoted with `"`. */
export function html(fixed: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(fixed.reduce((page, text, i) => page + render(parts[i - 1] ?? '') + text))
}

function render(part: Part): string {
  if (part instanceof Html) return part.toString()
  if (typeof part === 'object') return part.join('')
  return escape(visible(String(part)))
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}
