/** How lethe.yaml declares a processor that speaks OpenDSR. */
import { z } from 'zod'
import { secretSchema as secret } from '../../../../base/settings/index.ts'
import { columnSchema as column } from '../../../datamap/index.ts'
import { braces, defineStore, given } from '../../define.ts'
import { about, allowPrivate } from '../../schema-parts.ts'

const schema = z.strictObject({
  kind: z.literal('opendsr'),
  ...about,
  url: z.url().describe('The address with its major version: https://opendsr.example.com/v3.'),
  authorization: secret.describe('Where the value of the header Authorization stands.'),
  certificate: secret.describe(
    "Where the PEM of the processor's certificate or public key stands; every receipt is checked with it.",
  ),
  controller_id: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('Our own id there; checked in every answer where given.'),
  version: z
    .string()
    .regex(/^\d+\.\d+$/)
    .default('3.0')
    .describe('The version of the protocol that requests name.'),
  regulation: z.enum(['gdpr', 'ccpa']).default('gdpr').describe('Under which law requests are made.'),
  identities: z
    .array(
      z.strictObject({
        type: z
          .string()
          .regex(/^[a-z][a-z0-9_]{0,62}$/)
          .describe("The protocol's word: email, controller_customer_id, …"),
        format: z.enum(['raw', 'sha256']).default('raw').describe('How the value is sent.'),
        from: column.describe("The identifier's name."),
      }),
    )
    .min(1)
    .describe('What is sent of a subject.'),
  discovery: z
    .boolean()
    .default(true)
    .describe('Asks /discovery whether the processor erases and knows these identities.'),
  verify_url: z
    .string()
    .regex(/^https?:\/\/[^/?#{]+\/.*\{/, "an address with a fixed host and an identifier's name")
    .optional()
    .describe(
      'Answers 404 for a subject who is not there; without it a completed request is accepted, not verified.',
    ),
  allow_private: allowPrivate,
})

export const opendsr = defineStore({
  kind: 'opendsr',
  schema,
  async open(entry, { store, secret, pace, requestKey }) {
    const { opendsrEraser } = await import('./eraser.ts')
    return {
      eraser: opendsrEraser({
        store,
        pace,
        requestKey,
        url: entry.url,
        authorization: secret(entry.authorization),
        certificate: secret(entry.certificate),
        version: entry.version,
        regulation: entry.regulation,
        discovery: entry.discovery,
        allowPrivate: entry.allow_private,
        ...given({ controllerId: entry.controller_id, verifyUrl: entry.verify_url }),
      }),
      plan: { identities: entry.identities },
      leads: braces(...entry.identities.map(({ from }) => from)),
    }
  },
})
