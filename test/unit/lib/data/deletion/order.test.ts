import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { order } from '../../../../../lib/data/deletion/order.ts'

describe('order', () => {
  it('puts each step behind all it waits for, and keeps the given order otherwise', () => {
    const rules = [
      { before: 'c', after: 'a' },
      { before: 'd', after: 'c' },
      { before: 'elsewhere', after: 'a' },
      { before: 'b', after: 'b' },
    ]
    expect(order(['a', 'b', 'c', 'd'], rules)).toEqual({ sorted: ['b', 'd', 'c', 'a'], circle: [] })
  })

  it('names the smallest circle, along the arrows', () => {
    const rules = [
      { before: 'a', after: 'b' },
      { before: 'b', after: 'c' },
      { before: 'c', after: 'a' },
      { before: 'd', after: 'e' },
      { before: 'e', after: 'd' },
      { before: 'c', after: 'd' },
    ]
    const { sorted, circle } = order(['a', 'b', 'c', 'd', 'e'], rules)
    expect(sorted).toEqual([])
    expect(circle.toSorted()).toEqual(['d', 'e'])
  })

  it('orders whatever has no circle, and finds one in whatever has', () => {
    const steps = ['a', 'b', 'c', 'd', 'e', 'f']
    const step = fc.constantFrom(...steps)
    fc.assert(
      fc.property(fc.array(fc.record({ before: step, after: step }), { maxLength: 12 }), (rules) => {
        const { sorted, circle } = order(steps, rules)
        const joined = (a: string, b: string) => rules.some((rule) => rule.before === a && rule.after === b)
        if (circle.length === 0) {
          expect(sorted).toHaveLength(steps.length)
          for (const { before, after } of rules)
            if (before !== after) expect(sorted.indexOf(before)).toBeLessThan(sorted.indexOf(after))
        } else
          for (const [i, one] of circle.entries())
            expect(joined(one, circle[(i + 1) % circle.length] ?? '')).toBe(true)
      }),
    )
  })
})
