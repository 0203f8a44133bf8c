import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { sleep } from '../../../../../lib/base/clock/index.ts'
import { migrate, openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import { LetheError } from '../../../../../lib/base/errors/index.ts'
import { appendEvent, sequence, verifyLog } from '../../../../../lib/record/evidence/index.ts'
import { canonicalJson } from '../../../../../lib/base/canonical/index.ts'
import { commitment, contentSql, instant } from '../../../../../lib/record/evidence/entry.ts'
import { leafHash, rootOf } from '../../../../../lib/record/evidence/merkle.ts'
import { storedEntries, storedNodes } from '../../../../../lib/record/evidence/store.ts'
import { bundle } from '../../../../../lib/record/evidence/tiles.ts'
import { freshDatabase } from '../../../../support/servers/shared.ts'

let control: Database
let fresh: { url: string; drop(): Promise<void> }
beforeAll(async () => {
  fresh = await freshDatabase()
  await migrate(fresh.url, 'control')
  control = openDatabase(fresh.url, { name: 'control', applicationName: 'lethe test', max: 70 })
})
afterAll(async () => {
  await control.close()
  await fresh.drop()
})

async function drain(db = control, batch?: { events: number; statements: number }): Promise<number> {
  for (;;) {
    const { more, size } = await sequence(db, batch)
    if (!more) return size
  }
}

const count = z.object({ n: z.coerce.number() })
async function one(sql: string): Promise<number> {
  const [row] = await control.query(count, sql)
  return row?.n ?? Number.NaN
}

/** The tree of tiles against the tree of what the entries hold. */
async function whole(size: number): Promise<void> {
  const entries = await storedEntries(control, 0, size)
  const leaves = entries.map(leafHash)
  const plain = (level: number, index: number): Promise<Buffer> =>
    level === 0
      ? Promise.resolve(leaves[index] ?? Buffer.alloc(0))
      : Promise.all([plain(level - 1, index * 2), plain(level - 1, index * 2 + 1)]).then(
          async ([left, right]) => {
            const { nodeHash } = await import('../../../../../lib/record/evidence/index.ts')
            return nodeHash(left, right)
          },
        )
  expect(await rootOf(size, storedNodes(control, size))).toEqual(await rootOf(size, plain))
  expect(bundle(entries.slice(0, 2)).length).toBe(2 * 34)
}

describe('the sequencer', () => {
  test('gives each event of 64 writers that commit late, out of order or not at all one index, and rolled-back ones none; writers and sequencers are killed meanwhile', async () => {
    const seconds = Number(process.env['LETHE_EVIDENCE_SECONDS'] ?? 8)
    const end = performance.now() + seconds * 1000
    const open = (applicationName: string, max: number) =>
      openDatabase(fresh.url, { name: 'control', applicationName, max })
    const [writers, sequencers] = [open('doomed writer', 64), open('doomed sequencer', 2)]
    let killed = 0
    const rolledBack: string[] = []
    const writer = async (n: number) => {
      for (let i = 0; performance.now() < end; i += 1) {
        const fails = (n + i) % 5 === 0
        const proposal = randomUUID()
        await writers
          .transaction(async (tx) => {
            await appendEvent(tx, { type: 'proposal.expired', data: { proposal } })
            await sleep(((n * 37 + i * 101) % 97) * (i % 9 === 0 ? 20 : 1))
            await appendEvent(tx, { type: 'run.resumed', data: {} })
            if (fails) throw new Error('rolled back on purpose')
          })
          .catch((error: unknown) => {
            // Killed while it committed: nobody knows, the record does.
            if (!fails && !(error instanceof LetheError)) throw error
          })
        if (fails) rolledBack.push(proposal)
      }
    }
    const sequencer = async () => {
      while (performance.now() < end) {
        await sequence(sequencers, { events: 25, statements: 2 }).catch((error: unknown) => {
          if (!(error instanceof LetheError)) throw error
        })
        await sleep(20)
      }
    }
    const killer = async () => {
      while (performance.now() < end) {
        await sleep(100)
        killed += await control.execute(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name LIKE 'doomed%' AND state <> 'idle' ORDER BY random() LIMIT 1`,
        )
      }
    }
    await Promise.all([
      ...Array.from({ length: 64 }, (_, n) => writer(n)),
      sequencer(),
      sequencer(),
      killer(),
    ])
    await Promise.all([writers.close(), sequencers.close()])
    const size = await drain()
    expect(killed).toBeGreaterThan(0)
    expect(rolledBack.length).toBeGreaterThan(0)
    const committed = await one('SELECT count(*) AS n FROM lethe_control.events')
    expect(committed).toBeGreaterThan(64)
    expect(size).toBe(committed)
    expect(await one('SELECT count(*) AS n FROM lethe_control.evidence_entries')).toBe(committed)
    expect(await one('SELECT max(index) + 1 AS n FROM lethe_control.evidence_entries')).toBe(committed)
    expect(
      await one(`SELECT count(*) AS n FROM lethe_control.events e
        FULL JOIN lethe_control.evidence_entries x ON x.event_id = e.id WHERE e.id IS NULL OR x.index IS NULL`),
    ).toBe(0)
    const [row] = await control.query(
      count,
      `SELECT count(*) AS n FROM lethe_control.events WHERE data ->> 'proposal' = ANY ($1::text[])`,
      [rolledBack],
    )
    expect(row?.n).toBe(0)
    await whole(size)
    expect((await verifyLog(control, { origin: 'x', keys: [] }, { keep: '6 years' })).breaks).toEqual([])
  }, 180_000)

  /** A transaction that has written an event and waits. */
  async function openLate(): Promise<{ commit(): Promise<void> }> {
    const [begun, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const ended = control.transaction(async (tx) => {
      await appendEvent(tx, { type: 'run.woken', data: {} })
      begun.resolve()
      await released.promise
    })
    await begun.promise
    return {
      async commit() {
        released.resolve()
        await ended
      },
    }
  }

  test('does not pass over an event whose transaction began first and commits last', async () => {
    const before = await drain()
    const late = await openLate()
    for (let n = 0; n < 3; n += 1) {
      await appendEvent(control, { type: 'run.paused', data: {} })
      await drain()
    }
    expect(await drain()).toBe(before + 3)
    await late.commit()
    expect(await drain()).toBe(before + 4)
  })

  test('does not pass over one that commits between two batches, behind the place that they have reached', async () => {
    const before = await drain()
    const late = await openLate()
    for (let n = 0; n < 60; n += 1) await appendEvent(control, { type: 'run.paused', data: {} })
    expect(await sequence(control, { events: 25, statements: 2 })).toMatchObject({ added: 50, more: true })
    await late.commit()
    expect(await sequence(control, { events: 25, statements: 2 })).toMatchObject({ added: 10, more: true })
    expect(await drain()).toBe(before + 61)
  })

  test('leaves nothing behind where more wait than one batch takes', async () => {
    const before = await drain()
    await control.transaction(async (tx) => {
      for (let n = 0; n < 120; n += 1) await appendEvent(tx, { type: 'run.paused', data: {} })
    })
    expect(await sequence(control, { events: 25, statements: 2 })).toEqual({
      added: 50,
      size: before + 50,
      more: true,
    })
    expect(await sequence(control, { events: 25, statements: 2 })).toMatchObject({ added: 50, more: true })
    expect(await sequence(control, { events: 25, statements: 2 })).toEqual({
      added: 20,
      size: before + 120,
      more: true,
    })
  })

  test('keeps the exact bytes that were hashed, and refuses every change of them', async () => {
    await appendEvent(control, {
      type: 'proposal.expired',
      data: { proposal: 'b2f7e0c6-7f5e-4b52-8a32-0f6a3a1a9e11' },
    })
    const size = await drain()
    const [row] = await control.query(
      z.object({ entry: z.instanceof(Buffer), salt: z.instanceof(Buffer), content: z.string() }),
      `SELECT x.entry, x.salt, ${contentSql('e', instant('x.sequenced_at'))} AS content
       FROM lethe_control.evidence_entries x JOIN lethe_control.events e ON e.id = x.event_id WHERE x.index = $1`,
      [size - 1],
    )
    expect(row && commitment(row.salt, Buffer.from(row.content))).toEqual(row?.entry)
    expect(row?.content).toBe(canonicalJson(JSON.parse(row?.content ?? '')))
    expect(JSON.parse(row?.content ?? '')).toMatchObject({
      type: 'proposal.expired',
      data: { proposal: 'b2f7e0c6-7f5e-4b52-8a32-0f6a3a1a9e11' },
    })
    for (const change of [
      'UPDATE lethe_control.evidence_entries SET salt = NULL',
      'DELETE FROM lethe_control.evidence_entries',
      'TRUNCATE lethe_control.evidence_entries',
    ])
      await expect(control.execute(change)).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
  })

  test('finds everything again after the record was restored into a server whose transactions are numbered otherwise', async () => {
    const before = await drain()
    await control.execute(
      `UPDATE lethe_control.evidence_log SET seen = '9000000000:9000000000:'::pg_snapshot`,
    )
    await appendEvent(control, { type: 'run.resumed', data: {} })
    expect(await drain()).toBe(before + 1)
    expect(
      await one(`SELECT pg_snapshot_xmax(seen)::text::bigint AS n FROM lethe_control.evidence_log`),
    ).toBeLessThan(9_000_000_000)
  })

  test('stops where the clock has gone back by more than a minute', async () => {
    await control.execute(`UPDATE lethe_control.evidence_log SET sequenced_at = now() + interval '1 hour'`)
    await expect(sequence(control)).rejects.toMatchObject({ code: 'E_EVIDENCE_CLOCK', retryable: true })
    await control.execute(`UPDATE lethe_control.evidence_log SET sequenced_at = now()`)
  })
})
