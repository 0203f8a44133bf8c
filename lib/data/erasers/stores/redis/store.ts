/** A team's own Redis, one node or a cluster, as lethe.yaml declares it. */
import { z } from 'zod'
import { nameSchema as name, secretSchema as secret } from '../../../../base/settings/index.ts'
import { defineStore } from '../../define.ts'
import { about } from '../../schema-parts.ts'

const place = { name: name.describe('in counts and reports') }
const template = z.string().min(1).max(1000)

const schema = z.strictObject({
  kind: z.literal('redis'),
  ...about,
  url: secret.describe(
    'where the address stands: redis:// or rediss://, with /N for a database; any node of a cluster',
  ),
  places: z
    .array(
      z.union([
        z.strictObject({ ...place, key: template.describe('one key, such as session:{session}') }),
        z.strictObject({
          ...place,
          scan: template.describe(
            'every key of this form, such as user:{id}:*; a sign that no value holds stands behind each {name}',
          ),
        }),
        z.strictObject({
          ...place,
          member: z
            .strictObject({ key: template, value: template })
            .describe('a member of a set, a field of a hash, an element of a list; the value holds a {name}'),
        }),
      ]),
    )
    .min(1)
    .describe('where a subject has keys; each {name} stands for an identifier of the subject'),
})

export const redis = defineStore({
  kind: 'redis',
  schema,
  async open(entry, { store, secret, redisPrefix }) {
    const { redisEraser } = await import('./eraser.ts')
    const { places } = entry
    return {
      eraser: redisEraser({ store, url: secret(entry.url), ownPrefix: redisPrefix }),
      plan: { places },
      leads: places.map((place) =>
        'key' in place
          ? place.key
          : 'scan' in place
            ? place.scan
            : `${place.member.key}${place.member.value}`,
      ),
    }
  },
})
