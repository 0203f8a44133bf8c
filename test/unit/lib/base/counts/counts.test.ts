import { expect, test } from 'vitest'
import { Counts, summed, tally, total } from '../../../../../lib/base/counts/index.ts'

test('sums by name, whatever the name, and notes nothing of what there is none of', () => {
  const counts = new Counts()
  for (const [name, count] of Object.entries({ files: 2, constructor: 1, letters: 0 }))
    counts.add(name, count)
  counts.add('files')
  expect(counts.plain()).toEqual({ files: 3, constructor: 1 })
  expect(counts.total).toBe(4)
  expect(counts.sentences()).toEqual(['3 of files.', '1 of constructor.'])
})

test('many counts are one, name by name, and none is changed by it', () => {
  const first = { files: 1, toString: 2 }
  expect(summed([first, { files: 2, letters: 0 }])).toEqual({ files: 3, toString: 2, letters: 0 })
  expect(first).toEqual({ files: 1, toString: 2 })
  expect(summed([])).toEqual({})
  expect(tally(['b', 'a', 'b'])).toEqual({ b: 2, a: 1 })
  expect(total({ files: 3, letters: 1 })).toBe(4)
})
