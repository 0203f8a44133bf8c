/** How lethe.yaml declares a distribution whose caches hold subjects' files. */
import { z } from 'zod'
import { name, secret } from '../atoms.ts'

export const cloudfrontStore = z.strictObject({
  kind: z.literal('cloudfront'),
  owner: z.string().max(200).optional().describe('Who answers for it.'),
  location: z.string().max(200).optional().describe('Where the data is, in words.'),
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
  gone_statuses: z
    .array(z.int().min(300).max(499))
    .min(1)
    .default([404, 410])
    .describe(
      'Statuses that say there is nothing at a path; 403 where the origin answers so for what is missing.',
    ),
})
