/** Tables of DynamoDB in one region, as lethe.yaml declares them. */
import { z } from 'zod'
import { about, httpUrl, name, secret, together } from '../atoms.ts'

const place = z.strictObject({
  name: name.describe('in counts and reports'),
  table: z.string().min(1).max(255),
  index: z.string().min(1).max(255).optional().describe('a secondary index to look in instead of the table'),
  key: z
    .record(z.string().min(1).max(255), z.string().min(1).max(2048))
    .refine((key) => Object.keys(key).length > 0, { message: 'names no attribute' })
    .describe(
      'what the key attributes hold, such as { pk: "PATIENT#{id}" }: all of the partition key, of the sort key what is known',
    ),
})

export const dynamodbStore = z
  .strictObject({
    kind: z.literal('dynamodb'),
    ...about,
    region: z.string().min(1).describe('of the tables; replicas of a global table follow by themselves'),
    endpoint: httpUrl.optional().describe('of a server that is not AWS'),
    access_key: secret.optional().describe("default: the SDK's own chain (environment, profile, role)"),
    secret_key: secret.optional(),
    places: z
      .array(place)
      .min(1)
      .describe('where a subject has items; each {name} stands for an identifier of the subject'),
  })
  .refine(...together('access_key', 'secret_key'))
