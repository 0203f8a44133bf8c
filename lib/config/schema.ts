/**
 * lethe.yaml: the data map (stores, subjects, tables, accept) and how Lethe works on it, each part declared by the room
 * that it is for. Unknown keys are errors. Addresses and secrets never stand in the file: `env:` or `file:`.
 */
import { z } from 'zod'
import { bucketSchema } from '../base/bucket/index.ts'
import { nameSchema } from '../base/settings/index.ts'
import { mapShape } from '../data/datamap/index.ts'
import { storeSchema } from '../data/erasers/index.ts'
import { answersSchema } from '../people/answers/index.ts'
import { identitiesSchema, oidcSchema, secondFactorSchema } from '../people/identity/index.ts'
import { notificationsSchema } from '../people/notify/index.ts'
import { evidenceSchema } from '../record/evidence/index.ts'
import { erasureSchema } from '../record/requests/index.ts'
import { operationsSchema } from './operations.ts'
import { policySchema } from './policies.ts'

const answers = answersSchema.prefault({}).describe('who answers data subjects, and in which words')

export const configSchema = z.strictObject({
  version: z.literal(1),
  ...mapShape(storeSchema),
  policies: z.record(nameSchema, policySchema).default({}),
  identities: identitiesSchema.default({}),
  oidc: oidcSchema.optional(),
  second_factor: secondFactorSchema,
  evidence: evidenceSchema.optional(),
  locked_bucket: bucketSchema.optional(),
  erasure: erasureSchema.extend({ answers }).prefault({}),
  notifications: notificationsSchema.prefault({}),
  operations: operationsSchema.prefault({}),
})

export type ConfigFile = z.infer<typeof configSchema>
