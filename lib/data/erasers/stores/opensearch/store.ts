/** How the map declares an OpenSearch cluster. */
import { z } from 'zod'
import { secretSchema as secret } from '../../../../base/settings/index.ts'
import { defineStore } from '../../define.ts'
import { about, httpUrl } from '../../schema-parts.ts'

const schema = z.strictObject({
  kind: z.literal('opensearch'),
  ...about,
  url: httpUrl.describe('The address of the cluster: https://search.example.org:9200.'),
  auth: z
    .union([
      z.strictObject({
        username: secret.describe('The user.'),
        password: secret.describe("The user's password."),
      }),
      z.strictObject({ authorization: secret.describe('The whole Authorization header.') }),
    ])
    .optional()
    .describe('Who Lethe is to the cluster; absent where nobody is asked.'),
  documents_per_second: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(1000)
    .describe('How fast a task deletes, in documents a second.'),
  expunge_deletes: z
    .boolean()
    .default(false)
    .describe('Whether segments with many deleted documents are rewritten at the end, which is heavy.'),
  places: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(100).describe('The name of the place in reports.'),
        index: z
          .string()
          .min(1)
          .max(255)
          .describe('One index, alias or data stream; no pattern. An alias must show all documents.'),
        field: z.string().min(1).max(1000).describe('A field of type keyword, indexed as it is.'),
        value: z
          .string()
          .min(1)
          .max(2000)
          .describe('What stands in the field, with the identifiers that lead to it: {id}.'),
      }),
    )
    .min(1)
    .describe('Where a subject has documents.'),
})

export const opensearch = defineStore({
  kind: 'opensearch',
  schema,
  async open(entry, { store, secret, pace }) {
    const { opensearchEraser } = await import('./eraser.ts')
    const { auth, places } = entry
    return {
      eraser: opensearchEraser({
        store,
        pace,
        baseUrl: entry.url,
        documentsPerSecond: entry.documents_per_second,
        expungeDeletes: entry.expunge_deletes,
        ...(auth === undefined
          ? {}
          : {
              auth:
                'username' in auth
                  ? { username: secret(auth.username), password: secret(auth.password) }
                  : { authorization: secret(auth.authorization) },
            }),
      }),
      plan: { places },
      leads: places.map(({ value }) => value),
    }
  },
})
