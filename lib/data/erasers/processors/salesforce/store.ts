import { z } from 'zod'
import { nameSchema as name, secretSchema as secret } from '../../../../base/settings/index.ts'
import { braces, defineStore } from '../../define.ts'
import { about } from '../../schema-parts.ts'

const apiName = /^[A-Za-z][A-Za-z0-9_]{0,79}$/
const fieldName = /^[A-Za-z][A-Za-z0-9_]{0,79}(\.[A-Za-z][A-Za-z0-9_]{0,79}){0,5}$/

const schema = z.strictObject({
  kind: z.literal('salesforce'),
  ...about,
  url: z.url({ protocol: /^https$/ }).describe('My Domain: https://NAME.my.salesforce.com.'),
  client_id: secret.describe('Consumer key of the app with the client-credentials flow.'),
  client_secret: secret.describe(
    'Its consumer secret. The user it runs as needs to read and delete the objects below.',
  ),
  objects: z
    .array(
      z.strictObject({
        name: z.string().regex(apiName).describe('As the API names it: Contact, Lead, Consent__c.'),
        where: z
          .record(z.string().regex(fieldName), name)
          .refine((fields) => Object.keys(fields).length > 0, 'at least one field')
          .describe(
            "By field, the identifier that it holds: { Email: email }. A parent's field is Contact.Email.",
          ),
        forget: z
          .boolean()
          .default(false)
          .describe('Set ShouldForget on the Individual that a record names, before the record goes.'),
      }),
    )
    .min(1)
    .describe('In the order in which they go: what refers to another record before what it refers to.'),
})

export const salesforce = defineStore({
  kind: 'salesforce',
  schema,
  async open(entry, { store, secret, pace }) {
    const { salesforceEraser } = await import('./eraser.ts')
    return {
      eraser: salesforceEraser({
        store,
        pace,
        url: entry.url,
        clientId: secret(entry.client_id),
        clientSecret: secret(entry.client_secret),
      }),
      plan: { objects: entry.objects },
      leads: entry.objects.flatMap(({ where }) => braces(...Object.values(where))),
    }
  },
})
