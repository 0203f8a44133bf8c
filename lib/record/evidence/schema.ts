/** `evidence` of lethe.yaml: the log's name and key, how long contents are kept, and who cosigns it. */
import { z } from 'zod'
import { periodSchema, secretSchema } from '../../base/settings/index.ts'

export const evidenceSchema = z.strictObject({
  origin: z
    .string()
    .regex(/^[^\s+\u2014]{1,200}$/u)
    .describe('name of the log; by custom an address without its scheme, example.org/lethe'),
  key: secretSchema
    .optional()
    .describe('an Ed25519 private key in PEM; default: made from the keystore and rotated with it'),
  keep: periodSchema
    .default('6 years')
    .describe('how long the contents of events are kept; their hashes stay for ever'),
  retention_url: secretSchema
    .optional()
    .describe(
      'the control database by a login that is a member of lethe_retention; without it no content ages out',
    ),
  witnesses: z
    .array(
      z.strictObject({
        url: z.url({ protocol: /^https?$/ }).describe('its submission prefix (C2SP tlog-witness)'),
        key: z
          .string()
          .regex(
            /^[^\s+\u2014]{1,255}\+[0-9a-f]{8}\+B[A-P][A-Za-z0-9+/]{42}$/u,
            'is no verifier key of a cosigner: NAME+ID+BASE64, type 4',
          )
          .describe('its verifier key, as the witness prints it'),
      }),
    )
    .default([])
    .describe('second parties that cosign each head'),
})
