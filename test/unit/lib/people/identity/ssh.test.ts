import { describe, expect, it } from 'vitest'
import {
  type IdentityEntry,
  type Role,
  authorise,
  checkStatement,
  signWithSsh,
  statementFor,
  verifySsh,
  type Decided,
} from '../../../../../lib/people/identity/index.ts'
import { createSoftwareFido } from '../../../../support/stages/software-fido.ts'
import { createSshKey } from '../../../../support/stages/ssh-key.ts'

const decided: Decided = {
  verb: 'proposal.approve',
  object: '3f3c1c3e-0000-4000-8000-000000000000',
  facts: { planHash: 'abc', population: 12, overrides: ['rows'], until: null },
  reason: 'quarterly appraisal',
}
const at = new Date('2026-11-21T03:00:00.000Z')
const undemanding = { second_factor: [] }
const statement = statementFor({ ...decided, at })
const key = createSshKey()

function identities(lines: readonly string[], roles: Role[] = ['records']): Record<string, IdentityEntry> {
  return {
    'dr-osei': { roles, ssh_keys: [...lines], oidc_subjects: [] },
    someone: { roles: ['auditor'], ssh_keys: [createSshKey().publicKeyLine], oidc_subjects: [] },
  }
}

describe('an SSH signature', () => {
  it.each(['ed25519', 'ecdsa', 'rsa'] as const)(
    'by an %s key names the identity that has the key',
    async (type) => {
      const own = createSshKey(type)
      const signature = await signWithSsh(statement, own.file)
      expect(await verifySsh(statement, signature, identities([own.publicKeyLine]))).toEqual({
        name: 'dr-osei',
        roles: ['records'],
        method: 'ssh',
        secondFactor: false,
      })
    },
  )

  it('by a key that is nobody’s is refused', async () => {
    const signature = await signWithSsh(statement, createSshKey().file)
    await expect(verifySsh(statement, signature, identities([key.publicKeyLine]))).rejects.toMatchObject({
      code: 'E_IDENTITY_UNKNOWN',
      exitCode: 13,
    })
  })

  it('does not fit a statement that was altered by one letter', async () => {
    const signature = await signWithSsh(statement, key.file)
    const altered = statement.replace('"population": 12', '"population": 13')
    expect(altered).not.toBe(statement)
    await expect(verifySsh(altered, signature, identities([key.publicKeyLine]))).rejects.toMatchObject({
      code: 'E_SIGNATURE_INVALID',
    })
  })

  it('made for another purpose does not count: its namespace differs', async () => {
    const fido = createSoftwareFido()
    const signature = fido.sign(statement, { touched: true, namespace: 'git' })
    await expect(verifySsh(statement, signature, identities([fido.publicKeyLine]))).rejects.toMatchObject({
      code: 'E_SIGNATURE_INVALID',
    })
  })

  it('by a FIDO key that was touched counts as a second factor', async () => {
    const fido = createSoftwareFido()
    const identity = await verifySsh(
      statement,
      fido.sign(statement, { touched: true }),
      identities([fido.publicKeyLine]),
    )
    expect(identity).toMatchObject({ method: 'ssh-sk', secondFactor: true })
    expect(() => authorise(undemanding, identity, 'proposal.approve', { secondFactor: true })).not.toThrow()
  })

  it('by a FIDO key that nobody touched proves the key and no second factor', async () => {
    const fido = createSoftwareFido()
    // OpenSSH itself refuses an untouched signature unless the key's owner allowed it; either way it is no second factor
    const result = await verifySsh(
      statement,
      fido.sign(statement, { touched: false }),
      identities([fido.publicKeyLine]),
    ).catch((error: unknown) => error)
    expect(result).not.toMatchObject({ secondFactor: true })
  })

  it.each(['', 'hello', '-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n'])(
    'that is no signature (%j) is refused',
    async (text) => {
      await expect(verifySsh(statement, text, identities([key.publicKeyLine]))).rejects.toMatchObject({
        code: 'E_SIGNATURE_INVALID',
      })
    },
  )

  it('can not be made with a key that is not there', async () => {
    await expect(signWithSsh(statement, '/nowhere/id')).rejects.toMatchObject({ code: 'E_SSH_SIGN' })
  })
})

describe('a statement', () => {
  it('is the same decision within ten minutes of the database’s clock, before and after', () => {
    const minutes = (n: number) => new Date(at.getTime() + n * 60_000)
    expect(() => checkStatement(statement, decided, minutes(9.9))).not.toThrow()
    expect(() => checkStatement(statement, decided, minutes(-9.9))).not.toThrow()
    for (const n of [10.1, -10.1])
      expect(() => checkStatement(statement, decided, minutes(n))).toThrow(
        expect.objectContaining({ code: 'E_STATEMENT_EXPIRED' }),
      )
  })

  it.each([
    ['verb', { verb: 'policy.arm' }],
    ['object', { object: 'another' }],
    ['facts', { facts: { ...decided.facts, population: 13 } }],
    ['reason', { reason: 'another' }],
  ] as const)('with another %s is not this decision', (name, change) => {
    expect(() => checkStatement(statement, { ...decided, ...change }, at)).toThrow(
      expect.objectContaining({ code: 'E_STATEMENT_MISMATCH', facts: { differs: [name] } }),
    )
  })

  it('is never the same bytes twice, and reads the same in whatever order its facts were given', () => {
    const again = statementFor({
      ...decided,
      facts: Object.fromEntries(Object.entries(decided.facts).toReversed()),
      at,
    })
    const withoutNonce = (text: string) => text.replace(/"nonce": "[0-9a-f]+"/, '')
    expect(again).not.toBe(statement)
    expect(withoutNonce(again)).toBe(withoutNonce(statement))
  })
})

describe('authority', () => {
  const identity = { name: 'dr-osei', roles: ['records'], method: 'ssh', secondFactor: false } as const

  it('needs one of the roles', () => {
    expect(() => authorise(undemanding, identity, 'proposal.override')).toThrow(
      expect.objectContaining({ code: 'E_ROLE_MISSING' }),
    )
    expect(() => authorise(undemanding, identity, 'policy.arm')).not.toThrow()
  })

  it.each(['policy.arm', 'hold.release', 'text.erase', 'erasure.accept'] as const)(
    'needs a second factor for %s where the configuration demands it',
    (verb) => {
      const whoever = { ...identity, roles: ['cto' as const] }
      const demanding = { second_factor: [verb] }
      expect(() => authorise(demanding, whoever, verb)).toThrow(
        expect.objectContaining({ code: 'E_SECOND_FACTOR', exitCode: 13 }),
      )
      expect(() => authorise(demanding, { ...whoever, secondFactor: true }, verb)).not.toThrow()
      expect(() => authorise(undemanding, whoever, verb)).not.toThrow()
    },
  )

  it('needs a second factor where the policy demands one', () => {
    expect(() => authorise(undemanding, identity, 'proposal.approve', { secondFactor: true })).toThrow(
      expect.objectContaining({ code: 'E_SECOND_FACTOR', exitCode: 13 }),
    )
  })
})
