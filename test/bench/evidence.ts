/**
 * What evidence costs, on one server with durable commits, in alternated rounds. Asked of it: evidence_vs_plain ≥ 0.65
 * (16 clients committing an effect with its event, against the effect alone), evidence_vs_chained ≥ 3 (against a hash
 * chain under a lock), evidence_sequence_per_s ≥ 100,000 or evidence_sequence_vs_hash ≥ 0.5 (against raw SHA-256 of the
 * same leaves), evidence_verify_vs_hash ≤ 2 (verifying the whole log, against hashing its entries and contents).
 */
import { execFile } from 'node:child_process'
import { hash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { migrate, openDatabase, type Database } from '../../lib/base/db/index.ts'
import { contentSql, instant } from '../../lib/record/evidence/entry.ts'
import { eventsJson, eventsSql, sequence, verifyLog } from '../../lib/record/evidence/index.ts'
import { findProgram } from '../support/servers/install.ts'
import { makeFolder } from '../support/servers/process.ts'
import { median } from './contenders.ts'
import { databaseUrl, dropDatabase, withClient } from './dataset.ts'

const clients = 16
const rounds = 3
const roundSeconds = 5

export async function benchEvidence(
  adminUrl: string,
  events: number,
  say: (line: string) => void,
): Promise<Record<string, number>> {
  const name = 'bench_evidence'
  await dropDatabase(adminUrl, name)
  await withClient(adminUrl, (admin) => admin.query(`CREATE DATABASE ${name}`))
  const url = databaseUrl(adminUrl, name)
  await migrate(url, 'control')
  const control = openDatabase(url, {
    name: 'control',
    applicationName: 'bench',
    max: clients,
    statementTimeoutMs: 0,
  })
  try {
    await control.execute(
      'CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text)',
    )
    await control.execute(
      'CREATE TABLE chained (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, type text, data jsonb, hash bytea)',
    )
    const writing = await benchWriting(url, say)
    const growing = await benchGrowing(control, events, say)
    return { ...writing, ...growing }
  } finally {
    await control.close()
    await dropDatabase(adminUrl, name)
  }
}

const insert = `INSERT INTO effects (what) VALUES ('something happened')`
const event = { type: 'run.paused', actor: 'lethe', data: { reason: 'operator' } } as const

/**
 * Transactions as pgbench sends them. Effect and event are one statement, as lib/record/ledger writes them; a chained row has to
 * read the last one under the lock.
 */
const scripts = {
  plain: [`${insert};`],
  evidence: [
    `WITH effect AS (${insert} RETURNING NULL::uuid AS id), noted AS (${eventsSql('effect', `'${eventsJson([event])}'`)})
     SELECT FROM effect;`.replaceAll('\n', ' '),
  ],
  chained: [
    `${insert};`,
    'SELECT pg_advisory_xact_lock(1);',
    `INSERT INTO chained (type, data, hash) SELECT '${event.type}', '{"reason":"operator"}', sha256(coalesce(
       (SELECT hash FROM chained ORDER BY id DESC LIMIT 1), '') || convert_to('${event.type}{"reason":"operator"}', 'UTF8'));`.replaceAll(
      '\n',
      ' ',
    ),
  ],
}
type Script = keyof typeof scripts

async function benchWriting(url: string, say: (line: string) => void) {
  const pgbench = await findProgram('pgbench', 'postgresql')
  const folder = makeFolder('bench')
  const figures: Record<Script, number[]> = { plain: [], evidence: [], chained: [] }
  for (let round = 0; round < rounds; round += 1)
    for (const name of ['plain', 'evidence', 'chained'] as const) {
      const file = join(folder, name)
      writeFileSync(file, ['BEGIN;', ...scripts[name], 'COMMIT;', ''].join('\n'))
      const { stdout } = await promisify(execFile)(pgbench, [
        '--no-vacuum',
        '--protocol=prepared',
        '--jobs=2',
        `--client=${clients}`,
        `--time=${roundSeconds}`,
        `--file=${file}`,
        url,
      ])
      figures[name].push(Number(/tps = ([\d.]+)/.exec(stdout)?.[1]))
    }
  const [plain, evidence, chained] = [figures.plain, figures.evidence, figures.chained].map(median)
  say(
    `${clients} clients, commits/s: ${Math.round(plain ?? 0)} the effect alone, ${Math.round(evidence ?? 0)} with its event, ${Math.round(chained ?? 0)} with a chained row`,
  )
  return {
    evidence_vs_plain: (evidence ?? 0) / (plain ?? 1),
    evidence_vs_chained: (evidence ?? 0) / (chained ?? 1),
  }
}

async function benchGrowing(control: Database, events: number, say: (line: string) => void) {
  while ((await sequence(control)).more);
  await control.execute(
    `INSERT INTO lethe_control.events (type, data)
     SELECT 'run.attempt-failed', jsonb_build_object('attempt', i % 8, 'code', 'E_DATABASE_UNAVAILABLE', 'retryInSeconds', i % 300)
     FROM generate_series(1, $1::bigint) i`,
    [events],
  )
  await control.execute('ANALYZE lethe_control.events')
  const before = performance.now()
  let added = 0
  for (let more = true; more;) {
    const batch = await sequence(control)
    added += batch.added
    more = batch.more
  }
  const perSecond = (added * 1000) / (performance.now() - before)
  await control.execute('ANALYZE lethe_control.evidence_entries')
  const raw = await rawHashing(control)
  const start = performance.now()
  const found = await verifyLog(control, { origin: 'bench', keys: [] }, { keep: '6 years' })
  const seconds = (performance.now() - start) / 1000
  if (found.breaks.length > 0) throw new Error(`the log is broken: ${JSON.stringify(found.breaks[0])}`)
  say(
    `sequenced ${Math.round(perSecond)} events/s (raw SHA-256 of the leaves ${Math.round(raw.leavesPerSecond)}/s); verified ${found.entries} entries in ${seconds.toFixed(1)} s, ` +
      `hashing them alone ${raw.allSeconds.toFixed(1)} s; memory now ${Math.round(process.memoryUsage().rss / 2 ** 20)} MB`,
  )
  return {
    evidence_sequence_per_s: perSecond,
    evidence_sequence_vs_hash: perSecond / raw.leavesPerSecond,
    evidence_verify_vs_hash: seconds / raw.allSeconds,
  }
}

/** Reading every entry and hashing what a verifier has to hash: content, leaf, and a node a leaf. */
async function rawHashing(control: Database): Promise<{ leavesPerSecond: number; allSeconds: number }> {
  const row = z.object({
    index: z.coerce.number(),
    entry: z.instanceof(Buffer),
    content: z.string(),
  })
  let [leaves, leafMs] = [0, 0]
  const start = performance.now()
  for (let next = 0; ;) {
    const rows = await control.query(
      row,
      `SELECT x.index, x.entry, ${contentSql('e', instant('x.sequenced_at'))} AS content
       FROM lethe_control.evidence_entries x JOIN lethe_control.events e ON e.id = x.event_id
       WHERE x.index >= $1 ORDER BY x.index LIMIT 2000`,
      [next],
    )
    const last = rows.at(-1)
    if (last === undefined) break
    next = last.index + 1
    for (const { content, entry } of rows) {
      hash('sha256', content, 'buffer')
      hash('sha256', Buffer.concat([entry, entry]), 'buffer')
    }
    const begun = performance.now()
    for (const { entry } of rows) hash('sha256', entry, 'buffer')
    leafMs += performance.now() - begun
    leaves += rows.length
  }
  return { leavesPerSecond: (leaves * 1000) / leafMs, allSeconds: (performance.now() - start) / 1000 }
}
