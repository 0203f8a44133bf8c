/** What a mail can carry: lines that are short enough for every reader, and subjects that are one line. */

/** Characters of a line; RFC 5322 asks for 78 at most, and replies put marks before it. */
const WIDTH = 72

/** A value or a subject as one line: without line ends, control characters or marks that turn or hide text. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\s\p{Cc}\p{Cs}\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]+/gu, ' ').trim()
}

/** A list's line goes on below its text. An address stays whole, as it would not work in two; other words don't. */
export function wrap(line: string): string[] {
  const indent = line.startsWith('- ') ? '  ' : ''
  const lines: string[] = []
  let last = ''
  for (const word of line.split(' ').flatMap((one) => pieces(one, WIDTH - indent.length))) {
    const longer = last === '' ? word : `${last} ${word}`
    if (last.trim() === '' || sizeOf(longer) <= WIDTH)
      last = lines.length > 0 && last === '' ? indent + word : longer
    else {
      lines.push(last)
      last = indent + word
    }
  }
  return [...lines, last]
}

function pieces(word: string, size: number): string[] {
  const signs = Array.from(word)
  if (signs.length <= size || word.includes('://')) return [word]
  return Array.from({ length: Math.ceil(signs.length / size) }, (_, i) =>
    signs.slice(i * size, (i + 1) * size).join(''),
  )
}

function sizeOf(text: string): number {
  return Array.from(text).length
}
