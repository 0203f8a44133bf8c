import fc from 'fast-check'
import { expect, test } from 'vitest'
import { line, toLine } from '../../../../../lib/record/receipt/atoms.ts'

const odd = fc.constantFrom('a@b.org', '%40', '@', '\n', '\u202e', '\ud800', '😀', ' ', 'x'.repeat(499))

test('any text becomes a line that a receipt may hold', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(odd, fc.string({ unit: 'binary' }))), (parts) => {
      expect(line.safeParse(toLine(parts.join(''))).success).toBe(true)
    }),
  )
})

test('a line stays what it is', () => {
  const text = 'Art. 17(3)(b), accounting law; care @ Leeds'
  expect(toLine(text)).toBe(text)
})
