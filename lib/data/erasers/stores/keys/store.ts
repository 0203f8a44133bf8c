/** How the map declares keys that are shredded with their subject. */
import { z } from 'zod'
import { secretSchema as secret, together } from '../../../../base/settings/index.ts'
import { credentials, defineStore, given, type Tools } from '../../define.ts'
import { about, httpUrl } from '../../schema-parts.ts'

const common = {
  kind: z.literal('keys'),
  ...about,
}
const placeName = z.string().min(1).max(100).describe('The name of the place in reports.')
const key = z
  .string()
  .min(1)
  .max(2000)
  .describe("The key's name as the backend spells it, with the identifiers that lead to it: patient-{id}.")
const place = z.strictObject({ name: placeName, key })

const openbao = z.strictObject({
  ...common,
  backend: z.literal('openbao').describe('OpenBao or HashiCorp Vault.'),
  url: httpUrl.describe('The address of the active node, or of a balancer: https://vault.example.org:8200.'),
  namespace: z.string().min(1).optional().describe('The namespace, where the server has several.'),
  auth: z
    .union([
      z.strictObject({ token: secret.describe('A token that is renewed by somebody else.') }),
      z.strictObject({
        role_id: secret.describe("The AppRole's id."),
        secret_id: secret.describe("The AppRole's secret id."),
        mount: z.string().min(1).default('approle').describe('Where the AppRole method is mounted.'),
      }),
    ])
    .describe('Who Lethe is to the backend.'),
  places: z
    .array(
      z.strictObject({
        name: placeName,
        key,
        engine: z.enum(['transit', 'kv']).describe('transit has keys; kv (version 2 only) has secrets.'),
        mount: z
          .string()
          .min(1)
          .optional()
          .describe('Where the engine is mounted; transit or secret by default.'),
      }),
    )
    .min(1)
    .describe('Where a subject has keys.'),
})

const kms = z
  .strictObject({
    ...common,
    backend: z.literal('kms').describe('AWS KMS.'),
    region: z.string().min(1).describe('The region of the keys: eu-central-1.'),
    endpoint: httpUrl.optional().describe("The address of a server that isn't AWS's."),
    access_key_id: secret.optional().describe("Absent: the environment's own credentials (profile, role)."),
    secret_access_key: secret.optional().describe('Belongs to access_key_id.'),
    waiting_days: z
      .int()
      .min(7)
      .max(30)
      .default(7)
      .describe(
        'Days from the call to the destruction of the key, 7 to 30; it can be brought back until then.',
      ),
    places: z
      .array(place)
      .min(1)
      .describe('Where a subject has keys: by alias (alias/patient-{id}) or by id ({key_id}).'),
  })
  .refine(...together('access_key_id', 'secret_access_key'))

const akeyless = z.strictObject({
  ...common,
  backend: z.literal('akeyless').describe('Akeyless.'),
  url: httpUrl.default('https://api.akeyless.io').describe("The interface's address, or a gateway's."),
  access_id: secret.describe('The access id of an API key.'),
  access_key: secret.describe('Its access key.'),
  places: z.array(place).min(1).describe('Where a subject has items: /patients/{id}.'),
})

const schema = z.discriminatedUnion('backend', [openbao, kms, akeyless])

export const keys = defineStore({
  kind: 'keys',
  schema,
  // nothing brings a key back: the subject's own rows go first
  ownRowsFirst: true,
  async open(entry, tools) {
    const { keysEraser } = await import('./eraser.ts')
    const places = entry.places.map((place) =>
      'engine' in place
        ? { name: place.name, key: place.key, engine: place.engine, ...given({ mount: place.mount }) }
        : place,
    )
    return {
      eraser: keysEraser(keysOptions(entry, tools)),
      plan: { places },
      leads: places.map(({ key }) => key),
    }
  },
})

function keysOptions(entry: z.infer<typeof schema>, { store, secret, pace }: Tools) {
  if (entry.backend === 'openbao') {
    const { auth } = entry
    return {
      backend: 'openbao' as const,
      store,
      pace,
      baseUrl: entry.url,
      ...given({ namespace: entry.namespace }),
      auth:
        'token' in auth
          ? { token: secret(auth.token) }
          : { roleId: secret(auth.role_id), secretId: secret(auth.secret_id), mount: auth.mount },
    }
  }
  if (entry.backend === 'kms')
    return {
      backend: 'kms' as const,
      store,
      pace,
      region: entry.region,
      waitingDays: entry.waiting_days,
      ...given({ endpoint: entry.endpoint }),
      ...credentials(secret, entry.access_key_id, entry.secret_access_key),
    }
  return {
    backend: 'akeyless' as const,
    store,
    pace,
    baseUrl: entry.url,
    accessId: secret(entry.access_id),
    accessKey: secret(entry.access_key),
  }
}
