import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { cloudflare as cloudflareStore } from '../../../../../lib/data/erasers/processors/cloudflare/store.ts'
import { cloudfront as cloudfrontStore } from '../../../../../lib/data/erasers/processors/cloudfront/store.ts'
import { opendsr as opendsrStore } from '../../../../../lib/data/erasers/processors/opendsr/store.ts'
import { recipient as recipientStore } from '../../../../../lib/data/erasers/processors/recipient/store.ts'
import { webhook as webhookStore } from '../../../../../lib/data/erasers/processors/webhook/store.ts'

const stores = {
  cloudflare: {
    schema: cloudflareStore.schema,
    least: {
      kind: 'cloudflare',
      zone: '023e105f4ecef8ad9ca31a8372d0c353',
      token: 'env:CF_TOKEN',
      places: [{ name: 'photos', url: 'https://cdn.example.org/photos/{id}.jpg' }],
    },
    wrong: [
      { token: 'the-token-itself' },
      { places: [{ name: 'photos', url: 'https://{id}/x' }] },
      { extra: 1 },
    ],
  },
  cloudfront: {
    schema: cloudfrontStore.schema,
    least: {
      kind: 'cloudfront',
      distribution: 'E1ABCDEFGHIJKL',
      places: [{ name: 'photos', path: '/photos/{id}.jpg' }],
    },
    wrong: [
      { places: [{ name: 'photos', path: 'photos/{id}' }] },
      { verify_urls: 'https://cdn.example.org/x' },
    ],
  },
  opendsr: {
    schema: opendsrStore.schema,
    least: {
      kind: 'opendsr',
      url: 'https://opendsr.example.com/v3',
      authorization: 'env:DSR_AUTHORIZATION',
      certificate: 'file:/etc/lethe/processor.pem',
      identities: [{ type: 'email', from: 'email' }],
    },
    wrong: [
      { identities: [] },
      { verify_url: 'https://{host}/x' },
      { certificate: '-----BEGIN CERTIFICATE-----' },
    ],
  },
  webhook: {
    schema: webhookStore.schema,
    least: { kind: 'webhook', url: 'env:URL', secret: 'env:SECRET', sends: ['email'], places: ['letters'] },
    wrong: [{ url: 'https://example.org' }, { places: ['a@b'] }, { sends: [] }],
  },
  recipient: {
    schema: recipientStore.schema,
    least: { kind: 'recipient', url: 'env:URL', secret: 'env:SECRET', sends: ['email'] },
    wrong: [
      { secret: 'whsec_x' },
      { sends: [] },
      { name_in_receipt: 'lab@example.org' },
      { name_in_receipt: 'two\nlines' },
      { name_in_receipt: 'a\u202eb' },
    ],
  },
}

describe.each(Object.entries(stores))('a store of kind %s', (_, { schema, least, wrong }) => {
  test('needs little', () => {
    expect(schema.safeParse(least).error).toBeUndefined()
  })

  test('takes no secret in the map, no host from a value, and nothing it does not know', () => {
    for (const change of wrong) expect(schema.safeParse({ ...least, ...change }).success).toBe(false)
  })

  test('explains every option', () => {
    const { properties = {} } = z.toJSONSchema(schema, { io: 'input' })
    const bare = Object.entries(properties).filter(
      ([name, option]) =>
        name !== 'kind' && (typeof option === 'boolean' || option.description === undefined),
    )
    expect(bare).toEqual([])
  })
})
