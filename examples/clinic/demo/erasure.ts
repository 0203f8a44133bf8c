/**
 * The second half: a patient asks to be forgotten. Through the database, files, sessions and three processors, of which one
 * is down and one says that it erased and did not; to the receipt, checked by the public key alone.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { S3Server } from '../../../test/support/servers/servers.ts'
import { connectStores } from './configuration.ts'
import { openElsewhere, type Belongings, type Elsewhere } from './elsewhere.ts'
import { lethe, output, query, say, stopWork, title, waitFor, work, type Stage } from './stage.ts'

/** Both have a row of everything. 14 begins with a 1 too. */
const [asking, neighbour] = [1, 14]

export interface Around {
  s3: S3Server
  redisUrl: string
  /** Public keys by name. */
  keys: Record<string, string>
}

export async function erasure(stage: Stage, { s3, redisUrl, keys }: Around): Promise<void> {
  await stopWork()
  const elsewhere = await openElsewhere(stage.clinicUrl, s3, redisUrl)
  try {
    await connectStores(stage.home, keys, s3, elsewhere)
    const env = { ...stage.env, ...elsewhere.env }
    const desk = { ...env, LETHE_SSH_KEY: join(stage.home, 'sam') }
    const [patient, other] = [await elsewhere.fill(asking), await elsewhere.fill(neighbour)]
    await follow({ ...stage, env }, desk, elsewhere, patient, other)
  } finally {
    await stopWork()
    await elsewhere.close()
  }
}

async function follow(
  { home, env, controlUrl }: Stage,
  desk: NodeJS.ProcessEnv,
  elsewhere: Elsewhere,
  patient: Belongings,
  other: Belongings,
): Promise<void> {
  title('The ledger of erasures is copied into a bucket that nobody can empty, before anything goes')
  await lethe(env, 'evidence', 'lock', '1 day')

  const person = ['--subject', 'patient', '--by', `email=${patient.email}`]

  title('A patient writes: forget me. What would that mean? (changes nothing)')
  await lethe(desk, 'erasure', 'plan', ...person)

  title('Support writes the request down; nothing happens before it is known who asks')
  await lethe(desk, 'erasure', 'request', ...person, '--kind', 'article-17', '--reason', 'ticket 4711')
  const id = await waitFor(controlUrl, 'SELECT id FROM lethe_control.erasure_requests')
  const link = ['--method', 'emailed-link', '--reason', 'followed the link in our mail']
  await lethe(desk, 'erasure', 'confirm', id, ...link)

  title('Clinical notes are for a named person to decide about: they stay, as the law asks; the rest goes')
  elsewhere.stripe.fail = () => ({ status: 503, body: { error: { type: 'api_error' } } })
  elsewhere.letters.lied.add(patient.email)
  // its second erasure is an honest one
  elsewhere.letters.answer = ({ type }) => {
    if (type === 'lethe.erase') elsewhere.letters.lied.clear()
    return undefined
  }
  work(env, 'all')
  await waitFor(controlUrl, leg('r', `r.waiting_for = 'assessment'`))
  await lethe(
    env,
    'erasure',
    'assess',
    id,
    '--class',
    'clinical-notes=retain',
    '--reason',
    'last seen this year',
  )

  title('Stripe is down, and the print shop says it erased three letters that are still there')
  await waitFor(controlUrl, leg('l', `l.store = 'letters' AND l.reopened > 0`))
  await waitFor(controlUrl, leg('l', `l.store = 'payments' AND l.state = 'failed'`))
  await lethe(desk, 'erasure', 'status', id)

  title('Stripe is back; nobody does anything')
  elsewhere.stripe.fail = () => undefined
  await waitFor(controlUrl, leg('l', `l.store = 'payments' AND l.state = 'retained'`))
  await waitFor(controlUrl, leg('l', `l.store = 'letters' AND l.state = 'verified'`))
  say(
    'SendGrid is asked a minute later how its job went, and read back another minute later; the demo skips both.',
  )
  for (const state of ['waiting', 'accepted']) {
    await waitFor(controlUrl, leg('l', `l.store = 'mailing' AND l.state = '${state}'`))
    elsewhere.sendgrid.settle()
    await skipWaiting(controlUrl)
  }
  await waitFor(controlUrl, leg('r', 'r.finished_at IS NOT NULL'))
  await lethe(desk, 'erasure', 'status', id)

  title('The receipt, checked by somebody who has the file and our public key, and nothing else')
  const [receipt, published] = [join(home, 'receipt.txt'), join(home, 'receipt.keys')]
  await lethe(desk, 'erasure', 'receipt', 'show', id, '--out', receipt)
  await writeFile(published, await output(env, 'evidence', 'keys'))
  const nothing = { PATH: process.env['PATH'] }
  await lethe(nothing, 'erasure', 'receipt', 'verify', receipt, '--key', published)

  title('Looked for without Lethe: of the patient who asked, and of another one')
  const [gone, kept] = [await patient.count(), await other.count()]
  for (const [place, count] of Object.entries(gone))
    say(`  ${place.padEnd(36)} ${String(count).padStart(4)} ${String(kept[place]).padStart(4)}`)
  say('The rows that are left of the patient who asked are those that the receipt lists as kept.')
}

/** Of the request (r) or of one of its legs (l). */
function leg(of: 'l' | 'r', condition: string): string {
  return of === 'l'
    ? `SELECT l.request_id AS id FROM lethe_control.erasure_legs l WHERE ${condition}`
    : `SELECT r.id FROM lethe_control.erasure_requests r WHERE ${condition}`
}

/** What waits for an instant is due now. */
async function skipWaiting(controlUrl: string): Promise<void> {
  await query(
    controlUrl,
    `UPDATE lethe_control.erasure_legs SET next_at = clock_timestamp() WHERE store = 'mailing' AND next_at < 'infinity';
     UPDATE lethe_control.erasure_requests SET next_at = clock_timestamp() WHERE finished_at IS NULL;
     UPDATE lethe_control.runs SET next_attempt_at = clock_timestamp() WHERE kind = 'erasure.cascade' AND state = 'waiting'`,
  )
}
