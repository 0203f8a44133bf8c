import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  eraseText,
  eraseTextStatement,
  evidenceKeys,
  evidenceRound,
  type TextErased,
} from '../../../../jobs/evidence/index.ts'
import {
  addAppraisal,
  appraisalStatement,
  decide,
  decisionStatement,
  findPolicy,
  renderReport,
  revocationStatement,
  revokeAppraisal,
} from '../../../../jobs/retention/index.ts'
import { lostStatements } from '../../../../lib/record/decisions/index.ts'
import { listHolds } from '../../../../lib/record/holds/index.ts'
import { verifierKeys, verifyLog } from '../../../../lib/record/evidence/index.ts'
import { runStory } from '../../../../jobs/run-story.ts'
import type { Run } from '../../../../lib/record/ledger/index.ts'
import {
  openRetentionHouse,
  type RetentionHouse,
  type Signer,
} from '../../../support/stages/retention-house.ts'

const typed = 'Frau Osei of Ward 7 wrote in'
const evidence = { evidence: { origin: 'example.org/lethe' } }

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.control.execute(`INSERT INTO lethe_control.evidence_log (one) VALUES (true)`)
  await house.configure(evidence)
  await house.app.execute(
    `INSERT INTO people (id, deleted_at) SELECT id, now() - interval '40 days' FROM generate_series(1, 3) id`,
  )
  await house.arm('closed')
})

async function erase(text: string, reason = 'a name was typed', by: Signer = 'clerk'): Promise<TextErased> {
  return eraseText(house.context, text, await house.sign(eraseTextStatement(text, reason), by))
}

/** The statement that the newest event of this type commits to. */
async function committed(type: string): Promise<string> {
  const [event] = await house.control.query(
    z.object({ statement: z.string() }),
    `SELECT data ->> 'statement' AS statement FROM lethe_control.events WHERE type = $1 ORDER BY id DESC LIMIT 1`,
    [type],
  )
  if (event === undefined) throw new Error(`there is no event ${type}`)
  return event.statement
}

/** Every row of every table as a dump of the schema has it, bytes as text. */
async function dump(): Promise<string> {
  const columns = await house.control.query(
    z.object({ table: z.string(), column: z.string(), type: z.string() }),
    `SELECT c.oid::regclass::text AS "table", quote_ident(attname) AS "column", atttypid::regtype::text AS type
     FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
     WHERE relnamespace = 'lethe_control'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped`,
  )
  const parts = await Promise.all(
    columns.map(({ table, column, type }) =>
      house.control.query(
        z.object({ all: z.string().nullable() }),
        `SELECT string_agg(${type === 'bytea' ? `encode(${column}, 'escape')` : `${column}::text`}, ' ') AS all FROM ${table}`,
      ),
    ),
  )
  return parts.flatMap((rows) => rows.map((row) => row.all ?? '')).join('\n')
}

async function breaks() {
  await evidenceRound(house.context, 0)
  const keys = evidenceKeys(house.context)
  if (keys === null) throw new Error('no evidence log is configured')
  return (
    await verifyLog(
      house.control,
      { origin: keys.origin, keys: verifierKeys(keys) },
      { keep: '6 years', lostStatements },
    )
  ).breaks
}

/** Decided, and not worked on yet. */
async function approve(run: Run): Promise<void> {
  const { id } = await house.proposal(run)
  const decision = { proposalId: id, outcome: 'destroy', overrides: [], reason: typed } as const
  const statement = decisionStatement(await house.proposal(run), decision)
  await decide(house.context, decision, await house.sign(statement))
}

async function approvalShown(run: Run) {
  const { approvals } = await runStory(house.control, run.id)
  return approvals[0]
}

describe('erasing what somebody typed', () => {
  test('takes the reason of an executed approval out of everything, and the evidence still holds', async () => {
    const run = await house.decide(await house.sweep('closed'), { reason: typed })
    expect(run).toMatchObject({ outcome: 'executed' })
    const text = await committed('proposal.approved')
    expect(await approvalShown(run)).toMatchObject({ reason: typed, statement: text })
    expect(await house.report(run)).toMatchObject({ approval: { reason: typed, statement: text } })
    expect((await dump()).split(typed)).toHaveLength(2)
    expect(await breaks()).toEqual([])

    expect(await erase(text)).toMatchObject({ text, before: false })
    expect(await dump()).not.toContain(typed)
    expect(await approvalShown(run)).toMatchObject({ reason: '(erased)', statement: text, actor: 'cto' })
    const report = await house.report(run)
    expect(report).toMatchObject({ approval: { reason: '(erased)', statement: text } })
    expect(renderReport(report)).toContain(`(erased) Signed statement: ${text}.`)
    expect(await committed('proposal.approved')).toBe(text)
    expect(await breaks()).toEqual([])
  })

  test('is itself recorded, with a statement that can be erased as well, and does nothing the second time', async () => {
    await house.decide(await house.sweep('closed'), { outcome: 'reject', reason: typed })
    const text = await committed('proposal.rejected')
    const first = await erase(text, `about ${typed}`)
    const events = async () =>
      house.control.query(
        z.object({ actor: z.string(), data: z.record(z.string(), z.string()) }),
        `SELECT actor, data FROM lethe_control.events WHERE type = 'text.erased'`,
      )
    expect(await events()).toEqual([
      { actor: 'clerk', data: { text, method: 'ssh', statement: expect.stringMatching(/^[0-9a-f]{64}$/) } },
    ])
    expect(await erase(text)).toEqual({ ...first, before: true })
    expect(await events()).toHaveLength(1)
    expect(await dump()).toContain(`about ${typed}`)
    await erase(await committed('text.erased'))
    expect(await dump()).not.toContain(typed)
  })

  test('needs the role, and a hash that is there', async () => {
    const text = await committed('policy.armed')
    await expect(erase(text, 'why', 'desk')).rejects.toMatchObject({ code: 'E_ROLE_MISSING' })
    for (const unknown of ['f'.repeat(64), 'closed', `${text}00`])
      await expect(erase(unknown)).rejects.toMatchObject({ code: 'E_NOT_FOUND' })
    expect(await dump()).not.toContain('text.erased')
  })

  test('waits for the end of an approval, and one that was erased all the same destroys nothing', async () => {
    const waiting = await house.sweep('closed')
    await approve(waiting)
    const text = await committed('proposal.approved')
    const proposal = await house.proposal(waiting)
    await expect(erase(text)).rejects.toMatchObject({
      code: 'E_USAGE',
      message: expect.stringContaining(`proposal ${proposal.id} is approved`),
      next: expect.stringContaining(waiting.id),
    })
    expect(await approvalShown(waiting)).toMatchObject({ reason: typed })
    // by hand, past the rule
    await house.control.execute(
      `UPDATE lethe_control.statements SET statement = NULL, signature = NULL, erased_at = now() WHERE hash = decode($1, 'hex')`,
      [text],
    )
    await house.work()
    expect(await house.run(waiting)).toMatchObject({
      state: 'refused',
      errorCode: 'E_APPROVAL_FORGED',
      errorMessage: expect.stringContaining(`its signed statement ${text} was erased`),
    })
    expect(await house.ids('people')).toEqual([1, 2, 3])
  })

  test('leaves an approval whose text was exchanged without force, even where nobody can check the signature', async () => {
    const waiting = await house.sweep('closed')
    await approve(waiting)
    await house.control.execute(`UPDATE lethe_control.approvals SET method = 'oidc'`)
    // whoever owns the table can do this
    await house.control.transaction(async (tx) => {
      await tx.execute(`SET LOCAL session_replication_role = replica`)
      await tx.execute(`ALTER TABLE lethe_control.statements DROP CONSTRAINT hash_of_statement`)
      await tx.execute(
        `UPDATE lethe_control.statements SET statement = replace(statement, $1, 'other words')`,
        [typed],
      )
    })
    await house.work()
    expect(await house.run(waiting)).toMatchObject({
      state: 'refused',
      errorCode: 'E_APPROVAL_FORGED',
      errorMessage: expect.stringContaining('not the one that the record names'),
    })
    expect(await house.ids('people')).toEqual([1, 2, 3])
    await house.empty()
    await house.control.execute(
      `ALTER TABLE lethe_control.statements ADD CONSTRAINT hash_of_statement CHECK (hash = sha256(convert_to(statement, 'UTF8')))`,
    )
  })

  test('waits until an appraisal is revoked; each approval by it commits to the same statement', async () => {
    const standing = { closed: { approval: 'standing' } }
    await house.configure(evidence, standing)
    await house.arm('closed')
    const appraisal = {
      policy: 'closed',
      ceiling: 10,
      validUntil: new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() + 6, 1)),
      reason: typed,
    }
    const statement = appraisalStatement(findPolicy(house.context, 'closed'), appraisal)
    const id = await addAppraisal(house.context, appraisal, await house.sign(statement))
    const text = await committed('appraisal.added')
    const run = await house.sweep('closed')
    expect(run).toMatchObject({ outcome: 'executed' })
    expect(await committed('proposal.approved')).toBe(text)
    expect(await house.report(run)).toMatchObject({ approval: { reason: typed, statement: text } })
    await expect(erase(text)).rejects.toMatchObject({
      code: 'E_USAGE',
      next: expect.stringContaining(`lethe retention appraise closed --revoke ${id}`),
    })
    await revokeAppraisal(house.context, id, await house.sign(revocationStatement(id, `${typed} again`)))
    await erase(text)
    await erase(await committed('appraisal.revoked'))
    expect(await dump()).not.toContain(typed)
    expect(await house.report(run)).toMatchObject({ approval: { reason: '(erased)' } })
  })

  test('waits until a hold is released', async () => {
    const { id } = await house.hold({ level: 'subject', subject: 'person', key: ['2'], reason: typed })
    const text = await committed('hold.added')
    expect(await listHolds(house.control)).toMatchObject([{ id, reason: typed, statement: text }])
    await expect(erase(text)).rejects.toMatchObject({
      code: 'E_USAGE',
      message: expect.stringContaining(`hold ${id} is not released`),
    })
    await house.release(id)
    const released = await committed('hold.released')
    expect(await listHolds(house.control, { released: true })).toMatchObject([
      { reason: typed, releaseReason: 'settled', releaseStatement: released },
    ])
    await erase(text)
    await erase(released)
    expect(await listHolds(house.control, { released: true })).toMatchObject([
      { reason: '(erased)', releaseReason: '(erased)' },
    ])
    expect(await dump()).not.toContain(typed)
  })

  test('reaches what was typed to arm and to disarm', async () => {
    const armed = await committed('policy.armed')
    const hash = async () =>
      house.control.query(
        z.object({ hash: z.string() }),
        `SELECT encode(statement_hash, 'hex') AS hash FROM lethe_control.policies`,
      )
    expect(await hash()).toEqual([{ hash: armed }])
    // the process that destroys verifies it: it goes once something newer stands in its place
    await expect(erase(armed)).rejects.toMatchObject({ code: 'E_USAGE' })
    await house.arm('closed')
    await erase(armed)
    expect(await hash()).not.toEqual([{ hash: armed }])
    expect(await breaks()).toEqual([])
  })
})
