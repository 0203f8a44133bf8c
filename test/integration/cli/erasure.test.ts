/** `lethe erasure …` as people at the desk use it: what a slip says, and whom an id leads to. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { takeIntake } from '../../../jobs/erasure/index.ts'
import { lethe } from '../../support/stages/cli.ts'
import { openErasureHouse, type ErasureHouse } from '../../support/stages/erasure-house.ts'
import { createSshKey } from '../../support/stages/ssh-key.ts'

const key = createSshKey()
const nobody = '019340c8-0000-7000-8000-000000000000'
const closure = `kind => 'account-closure', identity => 'signed-in-session'`

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.configure({
    identities: { me: { roles: ['support', 'records'], ssh_keys: [key.publicKeyLine] } },
  })
  await house.people(1, 2)
})

const env = () => ({ ...house.env, LETHE_SSH_KEY: key.file })
const run = (...args: string[]) => lethe(['erasure', ...args], env())
const ask = (person: string, ...more: string[]) =>
  run('request', '--subject', 'person', '--key', person, '--reason', 'ticket 7', ...more)

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await run('--json', ...args)
  const found = z
    .looseObject({ data: z.record(z.string(), z.unknown()).optional() })
    .parse(JSON.parse(stdout))
  return found.data ?? found
}

const idOf = (text: string) => /Request ([0-9a-f-]{36})/u.exec(text)?.[1] ?? ''

async function request(person: string): Promise<string> {
  return idOf((await ask(person, '--kind', 'article-17', '--identity', 'staff-check')).stdout)
}

describe('a request that is written down', () => {
  test('for somebody whom no row names says so at once, and how to take it back', async () => {
    const asked = await ask('99999', '--kind', 'article-17')
    expect(asked).toMatchObject({ code: 0 })
    expect(asked.stdout).toContain('NO ROW OF SUCH A PERSON IS IN STORE app NOW')
    const id = idOf(asked.stdout)
    expect(asked.stdout).toContain(`lethe erasure cancel ${id}`)
    expect((await ask('1', '--kind', 'article-17')).stdout).not.toContain('NO ROW')
    const more = ['--subject', 'person', '--reason', 'x', '--kind', 'article-17']
    expect(await json('request', '--key', '-5', ...more)).toMatchObject({ present: false })
  })

  test('over an account closure says what that was and what it is now', async () => {
    const id = await house.askSql(1, closure)
    await house.work()
    const until = (await house.request(id)).graceUntil?.toISOString().slice(0, 10) ?? ''
    const unknown = await ask('1', '--kind', 'article-17')
    expect(unknown.stdout).toContain(`was open for this person already: an account closure until ${until}.`)
    expect(unknown.stdout).toContain('waits')
    const known = await ask('1', '--kind', 'article-17', '--identity', 'staff-check')
    expect(known.stdout).toContain('what it asks for holds now, without grace')
    const shown = await run('status', id)
    expect(shown.stdout).toContain('Request for erasure (Art. 17 GDPR)')
    expect(shown.stdout).toMatch(/an account closure +[0-9a-f-]{36}/u)
  })

  test.each([
    ['--identity', 'policy'],
    ['--requester', 'policy'],
  ])('claims nothing that is not a person’s: %s %s', async (option, value) => {
    expect(await ask('1', '--kind', 'article-17', option, value)).toMatchObject({ code: 2 })
  })
})

describe('an id that an application knows', () => {
  test('leads to the request that it joined, and says so; taking back the weaker one is refused', async () => {
    const id = await request('1')
    const own = await house.askSql(1, closure)
    await takeIntake(house.context, 'app')
    const shown = await run('status', own)
    expect(shown.stdout).toContain(`${own} joined request ${id}`)
    expect(shown.stdout).toContain(`Request ${id}: received`)
    expect(await json('status', own)).toMatchObject({ joinedAs: own, request: { id } })
    const cancelled = await run('cancel', own, '--reason', 'came back')
    expect(cancelled).toMatchObject({ code: 12 })
    expect(cancelled.stderr).toContain(`lethe erasure cancel ${id}`)
    expect(await run('cancel', id, '--reason', 'came back')).toMatchObject({ code: 0 })
  })

  test('of a refused call says so, with its code', async () => {
    const id = await house.askSql('one')
    await takeIntake(house.context, 'app')
    const shown = await run('status', id)
    expect(shown).toMatchObject({ code: 10 })
    expect(shown.stderr).toContain('was refused: E_IDENTIFIER')
  })

  test('of what is not taken in yet says so, why, and that its clock runs', async () => {
    const id = await house.askSql(1)
    expect((await run('status', id)).stderr).toContain('not taken in yet.')
    await house.app.execute('ALTER TABLE people RENAME TO humans')
    try {
      const shown = await run('cancel', id, '--reason', 'x')
      expect(shown.stderr).toMatch(/not taken in yet: E_MAP_FINDINGS/u)
      expect(shown.stderr).toContain('the answer is due')
    } finally {
      await house.app.execute('ALTER TABLE humans RENAME TO people')
    }
    expect((await run('status', nobody)).stderr).toContain(`There is no erasure request ${nobody}`)
  })
})

describe('a hold by a request', () => {
  const set = (id: string, review: string) =>
    run('hold', id, '--kind', 'legal-claim', '--owner', 'legal', '--review', review, '--reason', 'claim 12')

  test('is refused where its review lies in the past', async () => {
    const id = await request('1')
    expect(await set(id, '2020-05-01')).toMatchObject({ code: 2 })
    expect(await set(id, '2027-02-30')).toMatchObject({ code: 2 })
  })

  test('names the request in the list of holds', async () => {
    const id = await request('1')
    expect(await set(id, '2999-05-01')).toMatchObject({ code: 0 })
    expect((await lethe(['hold', 'list'], env())).stdout).toContain(`request ${id}`)
  })
})

test('A cancel after the cut of access says what came back and what is gone; nobody was told where no channel is.', async () => {
  const id = await house.askSql(1, closure)
  await house.work()
  expect((await run('status', id)).stdout).toMatch(/acknowledgement +not sent: no channel is configured/u)
  const cancelled = await run('cancel', id, '--reason', 'came back')
  expect(cancelled.stdout).toContain(
    'Sign-in works again. The sessions that the cut of access ended are gone (sessions).',
  )
  const early = await request('2')
  const before = await run('cancel', early, '--reason', 'came back')
  expect(before.stdout).toContain('before anything was erased.')
  expect(before.stdout).not.toContain('Sign-in works again')
})
