import { expect, test } from 'vitest'
import { rowEvent } from '../../../../../lib/record/evidence/index.ts'

test('an event that a statement records has the members of its shape, in canonical order', () => {
  expect(rowEvent('leg.reopened', { store: 'l.store', request: 'l.request_id' }).data).toBe(
    `'{"request":' || coalesce(to_json(l.request_id)::text, 'null') || ',"store":' || coalesce(to_json(l.store)::text, 'null') || '}'`,
  )
})

test('an event that a statement records without a member of its shape is refused when the code is loaded', () => {
  expect(() => rowEvent('leg.reopened', { store: 'l.store' } as never)).toThrow(
    'an event leg.reopened has request, store, not store',
  )
  expect(() => rowEvent('leg.reopened', { store: 's', request: 'r', name: 'n' } as never)).toThrow(
    'not name, request, store',
  )
})
