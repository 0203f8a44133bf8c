/** `identities` and `oidc` of lethe.yaml: who may decide, and how they prove who they are. */
import { z } from 'zod'
import { nameSchema, type Problem } from '../../base/settings/index.ts'
import { roles, verbs } from './verbs.ts'

const identity = z.strictObject({
  roles: z.array(z.enum(roles)).min(1),
  ssh_keys: z.array(z.string().regex(/^(ssh-|ecdsa-|sk-)/, 'an OpenSSH public key line')).default([]),
  oidc_subjects: z.array(z.string()).default([]),
})

export const identitiesSchema = z.record(nameSchema, identity)

export const oidcSchema = z.strictObject({
  issuer: z.url(),
  audience: z.string(),
  jwks_uri: z.url().optional(),
  max_age_seconds: z.number().int().positive().default(600),
  second_factor_amr: z.array(z.string()).default(['hwk', 'mfa']),
  token_days: z
    .number()
    .int()
    .positive()
    .default(90)
    .describe('days for which the sealed ID token of a decision is kept; longer while it is in force'),
})

export const secondFactorSchema = z
  .array(z.enum(Object.keys(verbs)))
  .default([])
  .describe('decisions that need a second factor: a touched FIDO key, or a token whose amr names one')

export type IdentityEntry = z.infer<typeof identity>
export type OidcEntry = z.infer<typeof oidcSchema>

/** Everyone who may be known, and the provider that tokens come from. */
export interface People {
  identities: Readonly<Record<string, IdentityEntry>>
  oidc?: OidcEntry | undefined
  /** Verbs that need a second factor of whoever decides. */
  second_factor: readonly string[]
}

export function checkPeople({ identities, oidc }: Pick<People, 'identities' | 'oidc'>): Problem[] {
  const owners = new Map<string, string>()
  return Object.entries(identities).flatMap(([name, entry]) => {
    const claims: [string, string, number][] = [
      // The comment behind a key is no part of it.
      ...entry.ssh_keys.map((key, index): [string, string, number] => [
        key.split(/\s+/).slice(0, 2).join(' '),
        'ssh_keys',
        index,
      ]),
      ...entry.oidc_subjects.map((subject, index): [string, string, number] => [
        subject,
        'oidc_subjects',
        index,
      ]),
    ]
    const problems = claims.flatMap(([claim, list, index]): Problem[] => {
      const owner = owners.get(claim)
      owners.set(claim, name)
      return owner === undefined
        ? []
        : [{ path: ['identities', name, list, index], message: `already belongs to identity ${owner}` }]
    })
    entry.ssh_keys.forEach((key, index) => {
      if (!isPublicKey(key))
        problems.push({
          path: ['identities', name, 'ssh_keys', index],
          message: 'is no OpenSSH public key: a type, and the same type within the base64 behind it',
        })
    })
    if (entry.oidc_subjects.length > 0 && oidc === undefined)
      problems.push({
        path: ['identities', name, 'oidc_subjects'],
        message: 'needs the key oidc: { issuer, audience }',
      })
    return problems
  })
}

/** The blob of a key begins with the length and the text of its type. */
function isPublicKey(line: string): boolean {
  const [type = '', blob = ''] = line.trim().split(/\s+/)
  const bytes = Buffer.from(blob, 'base64')
  const length = bytes.length > 4 ? bytes.readUInt32BE() : 0
  return bytes.subarray(4, 4 + length).toString('latin1') === type && bytes.length > 4 + length
}
