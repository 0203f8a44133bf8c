import { describe, expect, it } from 'vitest'
import { parseTableName, tableKey } from '../../../../../lib/data/datamap/index.ts'

describe('table names', () => {
  it.each([
    ['public.people', { schema: 'public', table: 'people' }],
    ['Billing.Invoice', { schema: 'Billing', table: 'Invoice' }],
    ['public."odd.name"', { schema: 'public', table: 'odd.name' }],
    ['"a""b"."c"', { schema: 'a"b', table: 'c' }],
  ])('reads %s as the catalogue spells it', (text, name) => {
    expect(parseTableName(text)).toEqual(name)
    expect(parseTableName(tableKey(name))).toEqual(name)
  })

  it.each(['people', 'a.b.c', 'a.', '.b', 'a."b', 'a."b"c', ''])('refuses %s', (text) => {
    expect(parseTableName(text)).toBeNull()
  })
})
