/** Deciding with an ID token at the command line: what is printed is signed in for, and proves that one decision; issue 10, C3. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { lethe } from '../../support/stages/cli.ts'
import { openRetentionHouse, type RetentionHouse } from '../../support/stages/retention-house.ts'
import { makeFolder } from '../../support/servers/process.ts'
import { startIssuer, type Issuer } from '../../support/vendors/issuer.ts'

let house: RetentionHouse
let issuer: Issuer
beforeAll(async () => {
  ;[house, issuer] = await Promise.all([openRetentionHouse(), startIssuer()])
  const { identities } = house.context.config.file
  await house.configure({
    oidc: issuer.settings,
    identities: { ...identities, cto: { ...identities['cto'], oidc_subjects: ['sub-1'] } },
  })
})
afterAll(async () => {
  await Promise.all([house.close(), issuer.close()])
})

const arm = ['arm', 'closed', '--reason', 'reviewed']
const run = (...args: string[]) => lethe(args, house.env)

/** What a person does who has no SSH key: prints, signs in with the nonce, keeps both as files. */
async function signIn(): Promise<{ statement: string; token: string; nonce: string }> {
  const folder = makeFolder('sign-in')
  const printed = await run(...arm, '--print-statement', '--json')
  const { data } = z
    .object({ data: z.object({ statement: z.string(), nonce: z.string() }) })
    .parse(JSON.parse(printed.stdout))
  const [statement, token] = [join(folder, 'statement'), join(folder, 'token')]
  writeFileSync(statement, data.statement)
  writeFileSync(token, `${await issuer.token(data.statement, { nonce: data.nonce })}\n`)
  return { statement, token, nonce: data.nonce }
}

test('A statement that is printed says the nonce to sign in with, and the token decides it, once.', async () => {
  const { statement, token, nonce } = await signIn()
  expect((await run(...arm, '--print-statement')).stderr).toMatch(/nonce=[0-9a-f]{64}/)
  const files = ['--oidc-token-file', token, '--statement', statement]
  expect(await run(...arm, ...files)).toMatchObject({ code: 0, stdout: expect.stringContaining('by cto') })
  const [kept] = await house.control.query(
    z.object({ hash: z.string(), row: z.string() }),
    `SELECT encode(hash, 'hex') AS hash, to_jsonb(s)::text AS row FROM lethe_control.statements s`,
  )
  expect(kept?.hash).toBe(nonce)
  expect(kept?.row).not.toContain('eyJ')
  expect(
    await run('arm', 'closed', '--reason', 'reviewed', '--observe', '--ssh-key', house.keyOf('desk')),
  ).toMatchObject({ code: 0 })
  expect(await run(...arm, ...files)).toMatchObject({
    code: 13,
    stderr: expect.stringContaining('E_STATEMENT_USED'),
  })
})

test('A token decides nothing without its statement, and nothing else than what that says.', async () => {
  const [one, other] = [await signIn(), await signIn()]
  expect(await run(...arm, '--oidc-token-file', one.token)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--print-statement'),
  })
  for (const [args, code] of [
    [[...arm, '--oidc-token-file', one.token, '--statement', other.statement], 'E_TOKEN_INVALID'],
    [
      ['arm', 'closed', '--reason', 'another', '--oidc-token-file', one.token, '--statement', one.statement],
      'E_STATEMENT_MISMATCH',
    ],
  ] as const)
    expect(await run(...args)).toMatchObject({ code: 13, stderr: expect.stringContaining(code) })
})
