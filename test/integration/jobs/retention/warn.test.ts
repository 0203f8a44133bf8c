import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { startSmtp, type SmtpServer } from '../../../support/servers/smtp.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
let smtp: SmtpServer
let answer: string | null = null
beforeAll(async () => {
  smtp = await startSmtp((address) => (address.startsWith('gone') ? '550 no such mailbox' : answer))
  house = await openRetentionHouse({ SMTP_URL: smtp.url })
})
afterAll(async () => {
  await house.close()
  await smtp.close()
})

const mail = {
  notifications: { channel: 'smtp', smtp: { url: 'env:SMTP_URL', from: 'privacy@example.org' } },
}
beforeEach(async () => {
  answer = null
  smtp.mails.length = 0
  await house.empty()
  await house.configure(mail)
  await house.arm('inactive')
})

async function person(id: number, lastSeen: string, email = `p${id}@example.org`): Promise<void> {
  await house.app.execute(
    `INSERT INTO people (id, email, last_seen) VALUES ($1, $2, now() - interval '${lastSeen}')`,
    [id, email],
  )
}

/** Time passes: every instant that the application and Lethe keep moves back. */
async function pass(days: number): Promise<void> {
  const back = `- interval '${days} days'`
  await house.app.execute(`UPDATE people SET last_seen = last_seen ${back}`)
  await house.app.execute(
    `UPDATE lethe.warnings SET clock_at = clock_at ${back}, delivered_at = delivered_at ${back}, attempted_at = attempted_at ${back}`,
  )
}

const sentDays = () =>
  house.app.query(
    z.object({ id: z.string(), days: z.number(), delivered: z.boolean(), attempts: z.number() }),
    `SELECT root_key[1] AS id, days, delivered_at IS NOT NULL AS delivered, attempts FROM lethe.warnings ORDER BY 1, days DESC`,
  )

test('A subject is warned 30, 7 and 1 days before, once each, and only then purged.', async () => {
  await person(1, '6 years 11 months')
  expect(await house.warn('inactive')).toMatchObject({ outcome: 'warned', counters: { delivered: 1 } })
  expect(await house.warn('inactive')).toMatchObject({ outcome: 'nothing-due' })
  expect(smtp.mails).toHaveLength(1)
  expect(smtp.mails[0]?.to).toEqual(['p1@example.org'])
  await pass(24)
  await house.warn('inactive')
  await pass(6)
  await house.warn('inactive')
  expect((await sentDays()).map((row) => row.days)).toEqual([30, 7, 1])
  await pass(2)
  const run = await house.decide(await house.sweep('inactive'))
  expect(run).toMatchObject({ outcome: 'executed' })
  expect(await house.ids('people')).toEqual([])
})

test('Who is overdue already when the policy begins still gets every warning with its days before the purge.', async () => {
  await person(1, '10 years')
  const first = await house.sweep('inactive')
  expect(await house.report(first)).toMatchObject({ population: 0, excluded: { 'unwarned:30-days': 1 } })
  await house.warn('inactive')
  await house.warn('inactive')
  expect(smtp.mails).toHaveLength(1)
  const due = /deleted on =?\r?\n?(\d{4}-\d{2}-\d{2})/.exec(smtp.mails[0]?.data ?? '')?.[1] ?? ''
  expect(new Date(due).getTime()).toBeGreaterThan(Date.now() + 28 * 86_400_000)
  await pass(29)
  await house.warn('inactive')
  await pass(1)
  await house.warn('inactive')
  expect(await house.report(await house.sweep('inactive'))).toMatchObject({ population: 0 })
  await pass(6)
  await house.warn('inactive')
  await pass(2)
  await house.decide(await house.sweep('inactive'))
  expect(await house.ids('people')).toEqual([])
})

test('New activity voids the warnings, in the middle of a second too.', async () => {
  await person(1, '7 years')
  await house.warn('inactive')
  await house.app.execute(`UPDATE people SET last_seen = last_seen + interval '1 microsecond'`)
  await house.warn('inactive')
  expect(await sentDays()).toHaveLength(2)
  await pass(40)
  expect(await house.report(await house.sweep('inactive'))).toMatchObject({ population: 0 })
})

test('Activity between the approval and the purge saves the subject.', async () => {
  await person(1, '8 years')
  for (const days of [24, 7, 2]) {
    await house.warn('inactive')
    await pass(days)
  }
  const waiting = await house.sweep('inactive')
  expect(waiting).toMatchObject({ state: 'waiting' })
  await house.app.execute('UPDATE people SET last_seen = now()')
  await house.decide(waiting)
  expect(await house.ids('people')).toEqual([1])
})

test('A warning that was not delivered is no warning: it is tried again, and nobody is purged without it.', async () => {
  await person(1, '8 years')
  await person(2, '8 years', 'gone@example.org')
  await person(3, '8 years', '')
  answer = '451 try again later'
  expect(await house.warn('inactive')).toMatchObject({ state: 'failed', errorCode: 'E_NOTIFY' })
  expect(await sentDays()).toEqual([
    { id: '1', days: 30, delivered: false, attempts: 1 },
    { id: '2', days: 30, delivered: false, attempts: 1 },
  ])
  answer = null
  expect(await house.warn('inactive')).toMatchObject({ outcome: 'nothing-due' })
  await pass(1)
  expect(await house.warn('inactive')).toMatchObject({
    outcome: 'partly-warned',
    counters: { delivered: 1, failed: 1, 'without-contact': 1 },
  })
  await pass(100)
  expect(await house.report(await house.sweep('inactive'))).toMatchObject({
    population: 0,
    excluded: { 'unwarned:30-days': 2, 'unwarned:7-days': 1 },
  })
})

test('Who would stay anyway is not frightened, and a policy that only observes warns nobody.', async () => {
  await person(1, '8 years')
  await person(2, '1 year')
  await house.hold({ level: 'subject', subject: 'person', key: ['1'] })
  expect(await house.warn('inactive')).toMatchObject({ outcome: 'nothing-due' })
  await person(3, '8 years')
  await house.configure(mail, { inactive: { period: '6 years' } })
  expect(await house.warn('inactive')).toMatchObject({ outcome: 'observed' })
  expect(smtp.mails).toEqual([])
})

test('The channel log delivers nothing, so it never leads to a purge.', async () => {
  await house.configure()
  await house.arm('inactive')
  await person(1, '8 years')
  expect(await house.warn('inactive')).toMatchObject({ outcome: 'not-delivered' })
  await pass(100)
  expect(await house.report(await house.sweep('inactive'))).toMatchObject({ population: 0 })
})
