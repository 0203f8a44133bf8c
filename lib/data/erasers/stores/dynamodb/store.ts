/** Tables of DynamoDB in one region, as lethe.yaml declares them. */
import { z } from 'zod'
import { nameSchema as name, secretSchema as secret, together } from '../../../../base/settings/index.ts'
import { credentials, defineStore, given } from '../../define.ts'
import { about, httpUrl } from '../../schema-parts.ts'

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

const schema = z
  .strictObject({
    kind: z.literal('dynamodb'),
    ...about,
    region: z.string().min(1).describe('of the tables; replicas of a global table follow by themselves'),
    endpoint: httpUrl.optional().describe('of a server that is not AWS'),
    access_key_id: secret.optional().describe("default: the SDK's own chain (environment, profile, role)"),
    secret_access_key: secret.optional(),
    places: z
      .array(place)
      .min(1)
      .describe('where a subject has items; each {name} stands for an identifier of the subject'),
  })
  .refine(...together('access_key_id', 'secret_access_key'))

export const dynamodb = defineStore({
  kind: 'dynamodb',
  schema,
  async open(entry, { store, secret }) {
    const { dynamodbEraser } = await import('./eraser.ts')
    const { region, endpoint, access_key_id: access, secret_access_key: key } = entry
    const eraser = dynamodbEraser({
      store,
      region,
      indexed: entry.places.some(({ index }) => index !== undefined),
      ...given({ endpoint }),
      ...credentials(secret, access, key),
    })
    const places = entry.places.map(({ index, ...place }) => ({ ...place, ...given({ index }) }))
    return {
      eraser,
      plan: { places },
      leads: entry.places.map(({ key: attributes }) => Object.values(attributes).join('')),
      close: () => eraser.close(),
    }
  },
})
