import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { listHolds } from '../../../lib/record/holds/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.app.execute(
    `INSERT INTO people (id, tenant, email, deleted_at) SELECT id, id, 'p' || id || '@example.org', now() - interval '40 days'
     FROM generate_series(1, 3) id`,
  )
  await house.app.execute('INSERT INTO visits SELECT id * 10, id FROM generate_series(1, 3) id')
  await house.arm('closed')
})

describe('a hold', () => {
  const levels = {
    subject: { level: 'subject', subject: 'person', key: ['2'] },
    row: { level: 'row', table: 'public.visits', key: ['20'] },
    tenant: { level: 'tenant', key: ['2'] },
  } as const

  test.each(Object.entries(levels))(
    'at %s level that is added after the approval keeps its whole subject',
    async (_level, hold) => {
      const waiting = await house.sweep('closed')
      await house.hold(hold)
      const run = await house.decide(waiting)
      expect(await house.ids('people')).toEqual([2])
      expect(await house.ids('visits')).toEqual([20])
      expect(await house.report(run)).toMatchObject({ subjects: { erased: 2, skipped: { held: 1 } } })
    },
  )

  test('at table level keeps every subject that has rows there, and all others', async () => {
    await house.hold({ level: 'table', table: 'public.visits' })
    expect(await house.sweep('closed')).toMatchObject({ outcome: 'nothing-due' })
    expect(await house.ids('people')).toEqual([1, 2, 3])
  })

  test('is found however its key was typed', async () => {
    expect(await house.hold({ level: 'subject', subject: 'person', key: ['002'] })).toMatchObject({
      found: true,
      alreadyGone: false,
    })
    await house.hold({ level: 'tenant', key: [' 3 '] })
    await house.decide(await house.sweep('closed'))
    expect(await house.ids('people')).toEqual([2, 3])
  })

  test('says when nothing has its key', async () => {
    expect(await house.hold({ level: 'subject', subject: 'person', key: ['77'] })).toMatchObject({
      found: false,
      alreadyGone: false,
    })
  })

  test('whose key can not be one is refused, before it stops every batch', async () => {
    const wrong = [
      { level: 'subject', subject: 'person', key: ['smith'] },
      { level: 'subject', subject: 'person', key: ['1', '2'] },
      { level: 'row', table: 'public.visits', key: ['x'] },
      { level: 'row', table: 'public.loose', key: ['1'] },
      { level: 'tenant', key: ['acme'] },
      { level: 'subject', subject: 'person' },
    ] as const
    for (const hold of wrong) await expect(house.hold(hold)).rejects.toMatchObject({ code: 'E_HOLD_KEY' })
    await expect(house.hold({ level: 'table', table: 'public.nothing' })).rejects.toMatchObject({
      code: 'E_NOT_FOUND',
    })
    expect(await listHolds(house.control)).toEqual([])
  })

  test('that came too late says so', async () => {
    await house.decide(await house.sweep('closed'))
    expect(await house.hold({ level: 'subject', subject: 'person', key: ['1'] })).toMatchObject({
      alreadyGone: true,
      found: false,
    })
  })

  test('lets its subject go once it is released, which needs more than the desk’s role', async () => {
    const { id } = await house.hold(levels.subject)
    await house.decide(await house.sweep('closed'))
    expect(await house.ids('people')).toEqual([2])
    await house.release(id)
    await house.release(id)
    await house.decide(await house.sweep('closed'))
    expect(await house.ids('people')).toEqual([])
    const events = await house.control.query(
      z.object({ type: z.string() }),
      `SELECT type FROM lethe_control.events WHERE type LIKE 'hold.%' ORDER BY id`,
    )
    expect(events.map((event) => event.type)).toEqual(['hold.added', 'hold.projected', 'hold.released'])
  })

  test('is in force again after the target was restored without it', async () => {
    await house.hold(levels.subject)
    await house.app.execute('DELETE FROM lethe.holds')
    await house.decide(await house.sweep('closed'))
    expect(await house.ids('people')).toEqual([2])
  })

  test('leaves no key in clear in the control database', async () => {
    await house.hold({ level: 'subject', subject: 'person', key: ['2'] })
    const [row] = await house.control.query(
      z.object({ cipher: z.instanceof(Buffer), text: z.string() }),
      'SELECT key_cipher AS cipher, h::text AS text FROM lethe_control.holds h',
    )
    expect(row?.cipher.includes('["2"]')).toBe(false)
    expect(row?.text).not.toContain('["2"]')
  })

  test('whose review date has passed is listed as overdue', async () => {
    await house.hold({ level: 'subject', subject: 'person', key: ['1'], reviewAt: '2001-01-01' })
    await house.hold({ level: 'subject', subject: 'person', key: ['2'] })
    expect(await listHolds(house.control, { overdue: true })).toHaveLength(1)
    expect(await listHolds(house.control)).toHaveLength(2)
  })
})
