import { describe, expect, test } from 'vitest'
import { canonicalHash } from '../../../../../lib/base/canonical/index.ts'

describe('canonicalHash', () => {
  test('ignores the order of keys and what is undefined, and nothing else', () => {
    expect(canonicalHash({ a: 1, b: [{ c: 2, d: undefined }] })).toBe(canonicalHash({ b: [{ c: 2 }], a: 1 }))
    expect(canonicalHash([1, 2])).not.toBe(canonicalHash([2, 1]))
    expect(canonicalHash({ a: null })).not.toBe(canonicalHash({}))
  })
})
