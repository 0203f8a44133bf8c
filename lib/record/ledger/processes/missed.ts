import { appendEvent } from '../../evidence/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import type { Missed } from '../../../base/schedule/index.ts'

/** Occurrences that were missed and are not kept one by one: their number and span stay as one event. */
export async function noteMissed(tx: Queryable, { schedule, count, from, until }: Missed): Promise<void> {
  await appendEvent(tx, {
    type: 'schedule.missed',
    data: { schedule, count, from: from.toISOString(), until: until.toISOString() },
  })
}
