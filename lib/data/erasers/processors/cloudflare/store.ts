/** How lethe.yaml declares a zone whose caches hold subjects' files. */
import { z } from 'zod'
import { nameSchema as name, secretSchema as secret } from '../../../../base/settings/index.ts'
import { defineStore } from '../../define.ts'
import { about, goneStatuses } from '../../schema-parts.ts'

const schema = z.strictObject({
  kind: z.literal('cloudflare'),
  ...about,
  zone: z
    .string()
    .regex(/^[0-9a-f]{32}$/, '32 hexadecimal digits')
    .describe('The id of the zone.'),
  token: secret.describe(
    'Where the API token stands; it needs the rights Cache Purge and Zone Read on this zone.',
  ),
  plan: z
    .enum(['free', 'pro', 'business', 'enterprise'])
    .default('free')
    .describe('The plan of the zone: how many files one call may name.'),
  origin: name
    .optional()
    .describe(
      'The store that it is filled from, which is emptied first: what is purged before may be filled again.',
    ),
  places: z
    .array(
      z.strictObject({
        name: name.describe('What reports call it.'),
        url: z
          .string()
          .regex(/^https?:\/\/[^/?#{]+\//, 'a whole address with a fixed host')
          .describe(
            'The address as visitors ask for it, with names of identifiers: https://cdn.example.org/photos/{id}.jpg',
          ),
      }),
    )
    .min(1)
    .describe('The addresses of a subject.'),
  verify_urls: z
    .boolean()
    .default(false)
    .describe('Asks for each address after the purge; without it nothing is verified, only accepted.'),
  gone_statuses: goneStatuses,
})

export const cloudflare = defineStore({
  kind: 'cloudflare',
  schema,
  filledFrom: ({ origin }) => origin,
  async open(entry, { store, secret, pace }) {
    const { cloudflareEraser } = await import('./eraser.ts')
    const places = entry.places.map((place) => ({ name: place.name, template: place.url }))
    return {
      eraser: cloudflareEraser({
        store,
        pace,
        zone: entry.zone,
        token: secret(entry.token),
        plan: entry.plan,
        ...(entry.verify_urls ? { verifyUrls: { gone: entry.gone_statuses } } : {}),
      }),
      plan: { places },
      leads: places.map(({ template }) => template),
    }
  },
})
