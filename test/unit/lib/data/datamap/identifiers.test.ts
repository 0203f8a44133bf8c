import { describe, expect, test } from 'vitest'
import { expand, isBounded, namesIn, ofNobody } from '../../../../../lib/data/datamap/index.ts'

describe('a template', () => {
  test('stands for each combination of values, once', () => {
    const identifiers = { id: ['1', '2', '1'], upload: ['a'] }
    expect(expand('patients/{id}/{upload}.pdf', identifiers)).toEqual([
      'patients/1/a.pdf',
      'patients/2/a.pdf',
    ])
    expect(expand('patients/{id}/', { id: [] })).toEqual([])
    expect(expand('patients/{id}/', {})).toEqual([])
    expect(expand('{toString}', {})).toEqual(['{toString}'])
    expect(expand('{constructor}/', {})).toEqual([])
  })

  test('takes a value as it is, whatever stands in it', () => {
    expect(expand('a/{id}/', { id: ['{upload}', '$&', '../b'] })).toEqual(['a/{upload}/', 'a/$&/', 'a/../b/'])
  })

  test.each(['', 'a\u0000', 'a\nb', '\u007f'])(
    'refuses the value %j, which would lead elsewhere',
    (value) => {
      expect(() => expand('a/{id}/', { id: [value] })).toThrow(
        expect.objectContaining({ code: 'E_IDENTIFIER' }),
      )
    },
  )

  test('says which names it needs, and whether one value could stand for the beginning of another', () => {
    expect(namesIn('{a}/{b}/{a}')).toEqual(['a', 'b'])
    expect(isBounded('user:{id}:')).toBe(true)
    expect(isBounded('user:{id}')).toBe(false)
    expect(isBounded('user:{id}0')).toBe(false)
    expect(isBounded('users/')).toBe(false)
  })

  test('of nobody has a value for each name, as text, number and base64', () => {
    const identifiers = ofNobody(['{a}/{b}', '{a}', 'none'])
    expect(Object.keys(identifiers)).toEqual(['a', 'b'])
    for (const [value] of Object.values(identifiers)) expect(value).toMatch(/^\d{16}$/)
    expect(ofNobody(['{a}'])).not.toEqual(identifiers)
    expect(ofNobody(['{a}'])).not.toEqual(ofNobody(['{a}']))
  })
})
