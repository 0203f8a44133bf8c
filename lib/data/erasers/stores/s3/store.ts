/** Buckets of one S3 server, as lethe.yaml declares them. */
import { z } from 'zod'
import { nameSchema as name, secretSchema as secret, together } from '../../../../base/settings/index.ts'
import { credentials, defineStore, given } from '../../define.ts'
import { about, httpUrl } from '../../schema-parts.ts'

const place = {
  name: name.describe('in counts and reports'),
  bucket: z.string().min(1).describe('of this store; several places may name the same one'),
}

const schema = z
  .strictObject({
    kind: z.literal('s3'),
    ...about,
    region: z.string().min(1).describe('of every bucket here; buckets elsewhere are another store'),
    endpoint: httpUrl.optional().describe('of an S3 server that is not AWS'),
    access_key_id: secret.optional().describe("default: the SDK's own chain (environment, profile, role)"),
    secret_access_key: secret.optional(),
    places: z
      .array(
        z.union([
          z.strictObject({
            ...place,
            prefix: z
              .string()
              .min(1)
              .describe('all that begins with it, such as patients/{id}/; it goes on behind its last {name}'),
          }),
          z.strictObject({ ...place, key: z.string().min(1).describe('one object, such as {document_key}') }),
        ]),
      )
      .min(1)
      .describe('where a subject has objects; each {name} stands for an identifier of the subject'),
  })
  .refine(...together('access_key_id', 'secret_access_key'))

export const s3 = defineStore({
  kind: 's3',
  schema,
  async open(entry, { store, secret }) {
    const { s3Eraser } = await import('./eraser.ts')
    const { region, endpoint, access_key_id: access, secret_access_key: key, places } = entry
    const eraser = s3Eraser({
      store,
      region,
      ...given({ endpoint }),
      ...credentials(secret, access, key),
    })
    return {
      eraser,
      plan: { places },
      leads: places.map((place) => ('key' in place ? place.key : place.prefix)),
      close: () => eraser.close(),
    }
  },
})
