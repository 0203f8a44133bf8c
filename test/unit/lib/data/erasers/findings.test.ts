import { expect, test } from 'vitest'
import { Findings } from '../../../../../lib/data/erasers/index.ts'
import { LetheError } from '../../../../../lib/base/errors/index.ts'

const astray = new LetheError('E_IDENTIFIER', { message: 'no value' })
const refused = new LetheError('E_STORE_REFUSED', { message: 'no right' })
const nothing = { absent: true, left: {}, retained: [] }

test('each subject has its own finding, in their order', () => {
  const findings = new Findings(3)
  findings.left(2, 'files', 2)
  findings.left(2, 'letters')
  findings.left(2, 'files')
  findings.keep(1, 'files', { ground: 'legal hold', until: null })
  expect(findings.each()).toEqual([
    nothing,
    { ...nothing, retained: [{ place: 'files', ground: 'legal hold', until: null, count: 1 }] },
    { absent: false, left: { files: 3, letters: 1 }, retained: [] },
  ])
  expect(() => findings.requireSeen()).not.toThrow()
})

test('who could not be looked at is not absent, and holds up nobody else', () => {
  const findings = new Findings(3)
  findings.unseen(1, astray)
  findings.left(2, 'files')
  expect(findings.each().map(({ absent }) => absent)).toEqual([true, false, false])
  expect(() => findings.requireSeen()).toThrow(astray)
})

test('where nobody could be looked at it says why, by the first', () => {
  const findings = new Findings(2)
  findings.unseen(1, refused)
  findings.unseen(0, astray)
  findings.unseen(0, refused)
  expect(() => findings.each()).toThrow(astray)
})

test('of nobody there is nothing to find', () => {
  expect(new Findings(0).each()).toEqual([])
})
