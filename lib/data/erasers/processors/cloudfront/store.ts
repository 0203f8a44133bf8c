/** How lethe.yaml declares a distribution whose caches hold subjects' files. */
import { z } from 'zod'
import { nameSchema as name, secretSchema as secret, together } from '../../../../base/settings/index.ts'
import { credentials, defineStore, given } from '../../define.ts'
import { about, goneStatuses } from '../../schema-parts.ts'

const schema = z
  .strictObject({
    kind: z.literal('cloudfront'),
    ...about,
    distribution: z
      .string()
      .regex(/^[A-Z0-9]{8,20}$/, 'an id of a distribution')
      .describe('The id of the distribution.'),
    region: z.string().min(1).default('us-east-1').describe('CloudFront has one for the world.'),
    endpoint: z.url().optional().describe("Of a server that isn't AWS's."),
    access_key_id: secret
      .optional()
      .describe('Where the access key stands; without it the usual AWS places are asked.'),
    secret_access_key: secret.optional().describe('Where the secret access key stands.'),
    origin: name
      .optional()
      .describe(
        'The store that it is filled from, which is emptied first: what is purged before may be filled again.',
      ),
    places: z
      .array(
        z.strictObject({
          name: name.describe('What reports call it.'),
          path: z
            .string()
            .regex(/^\/[^?#]*/, 'a path that begins with a slash')
            .describe(
              'The path with names of identifiers: /photos/{id}.jpg; a star at its end stands for all that begins so.',
            ),
        }),
      )
      .min(1)
      .describe('The paths of a subject.'),
    verify_urls: z
      .string()
      .regex(/^https?:\/\/[^/?#]+$/, 'an address without a path')
      .optional()
      .describe(
        'Where visitors ask: https://cdn.example.org. Each path is asked for afterwards; without it nothing is verified, only completed.',
      ),
    gone_statuses: goneStatuses,
  })
  .refine(...together('access_key_id', 'secret_access_key'))

export const cloudfront = defineStore({
  kind: 'cloudfront',
  schema,
  filledFrom: ({ origin }) => origin,
  async open(entry, { store, secret, pace }) {
    const { cloudfrontEraser } = await import('./eraser.ts')
    const { verify_urls: origin, gone_statuses: gone } = entry
    const places = entry.places.map((place) => ({ name: place.name, template: place.path }))
    return {
      eraser: cloudfrontEraser({
        store,
        pace,
        distribution: entry.distribution,
        region: entry.region,
        ...given({ endpoint: entry.endpoint }),
        ...credentials(secret, entry.access_key_id, entry.secret_access_key),
        ...(origin === undefined ? {} : { verifyUrls: { origin, gone } }),
      }),
      plan: { places },
      leads: places.map(({ template }) => template),
    }
  },
})
