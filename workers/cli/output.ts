/**
 * Where a command's words go: data to stdout, everything else to stderr. With `--json`, stdout carries one document
 * `{ lethe: 1, command, data }` and stderr JSON lines `{ lethe: 1, command, note | progress | error }`. Keys are added,
 * never renamed or dropped.
 */
import { styleText } from 'node:util'
import type { LetheError } from '../../lib/base/errors/index.ts'

export interface Output {
  readonly json: boolean
  /** The noun and verb, set once they are known. */
  command: string
  /** stderr is a terminal that a person looks at: bars may be drawn on it. */
  readonly live: boolean
  /** What the command was asked for: `text` for people, `value` for machines. */
  data(value: unknown, text: string): void
  /**
   * Data too long to hold: a page at a time, in JSON one document with the facts and all items under `name`. `text` makes a
   * page for people (an empty one where there is nothing), and `end` follows the last.
   */
  list<T>(
    facts: Readonly<Record<string, unknown>>,
    name: string,
    pages: AsyncIterable<readonly T[]>,
    text: (page: readonly T[], first: boolean) => string,
    end: string,
  ): Promise<void>
  /** A sentence beside the data. */
  note(text: string): void
  /** How far something is; off a terminal at most now and then, since each is a line. */
  progress(value: unknown, text: string): void
  error(error: LetheError): void
  readonly bold: (text: string) => string
}

interface Stream {
  write(text: string): unknown
  isTTY?: boolean
}

export function createOutput(options: {
  json: boolean
  stdout: Stream
  stderr: Stream
  env: Readonly<Record<string, string | undefined>>
}): Output {
  const { json, stdout, stderr, env } = options
  const plain = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb'
  // Colour goes to stdout's reader only when that is a terminal; a pipe gets text.
  const colour = !json && !plain && stdout.isTTY === true
  const live = !json && stderr.isTTY === true && env['TERM'] !== 'dumb'
  let drawn = false
  const clear = () => {
    if (drawn) stderr.write('\r\u001B[K')
    drawn = false
  }
  const line = (kind: string, value: unknown) =>
    stderr.write(`${toJson({ lethe: 1, command: output.command, [kind]: value })}\n`)
  const output: Output = {
    json,
    command: '',
    live,
    data(value, text) {
      clear()
      stdout.write(
        json
          ? `${toJson({ lethe: 1, command: output.command, data: value }, 2)}\n`
          : text.endsWith('\n')
            ? text
            : `${text}\n`,
      )
    },
    async list(facts, name, pages, text, end) {
      clear()
      const head = toJson({ lethe: 1, command: output.command, data: facts })
      const separator = Object.keys(facts).length === 0 ? '' : ','
      if (json) stdout.write(`${head.slice(0, -2)}${separator}"${name}":[`)
      let first = true
      for await (const page of pages) {
        if (json) stdout.write(`${first ? '' : ','}\n${page.map((item) => toJson(item)).join(',\n')}`)
        else stdout.write(`${text(page, first)}\n`)
        first = false
      }
      if (json) stdout.write(']}}\n')
      else stdout.write(`${first ? `${text([], true)}\n` : ''}${end === '' ? '' : `${end}\n`}`)
    },
    note(text) {
      clear()
      if (json) line('note', text)
      else stderr.write(`${text}\n`)
    },
    progress(value, text) {
      if (json) line('progress', value)
      else if (live) {
        stderr.write(`\r\u001B[K${text}`)
        drawn = true
      } else stderr.write(`${text}\n`)
    },
    error(error) {
      clear()
      if (json)
        line('error', {
          code: error.code,
          message: error.message,
          left: error.left,
          next: error.next,
          runbook: error.runbook,
          exit: error.exitCode,
          retryable: error.retryable,
          facts: error.facts,
        })
      else stderr.write(describe(error, !plain && stderr.isTTY === true))
    },
    bold: (text) => (colour ? styleText('bold', text, { validateStream: false }) : text),
  }
  return output
}

/** Code, what failed, what was left, what to do next, where to read more: in this order, always all of them. */
function describe(error: LetheError, colour: boolean): string {
  const code = colour ? styleText(['bold', 'red'], error.code, { validateStream: false }) : error.code
  return [
    `${code}: ${error.message}`,
    `  left:    ${error.left}`,
    `  next:    ${error.next}`,
    `  runbook: ${error.runbook}`,
    '',
  ].join('\n')
}

function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_key, item: unknown) => (typeof item === 'bigint' ? item.toString() : item),
    indent,
  )
}

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? count(cell) : cell)))
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)))
  const right = head.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'))
  const render = (row: readonly string[]) =>
    row
      .map((cell, i) => (right[i] === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  const titles = head.some((title) => title !== '') ? [render(head)] : []
  return [...titles, ...cells.map(render)].map((line) => `  ${line}`).join('\n')
}

export function count(value: number): string {
  return value.toLocaleString('en-GB')
}

/** `2026-11-21 03:30:00 UTC`. */
export function instant(value: Date | null): string {
  return value === null ? '–' : `${value.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
