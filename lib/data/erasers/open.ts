/** From a store as the map declares it to its eraser: the one place that knows them all. What a store needs is loaded with it. */
import { type StoreEntry, expand, type Identifiers } from '../datamap/index.ts'
import type { Eraser, SubjectRef, Identified } from './eraser.ts'
import { LetheError } from '../../base/errors/index.ts'
import {
  openSendgrid,
  openStripe,
  openSalesforce,
  openSupabase,
  openPosthog,
  openCloudfront,
  openCloudflare,
  openOpendsr,
  openWebhook,
  openRecipient,
} from './open-processors.ts'
import { credentials, given, type Entry, type Opened, type StoreTools, type Tools } from './open-tools.ts'
import type { Pace } from '../../base/calls/index.ts'

export interface OpenedStore {
  eraser: Eraser<Identified>
  /** What leads here: templates with names of identifiers; none where nobody has to be looked for. */
  leads: readonly string[]
  /** Whether anything here is led to by these identifiers. */
  concerns(identifiers: Identifiers): boolean
  /** Someone is told there, and nothing is erased or read back. */
  tells: boolean
  close(): Promise<void>
}

/** Opens no connection yet. Throws E_STORE_WITHOUT_ERASER, E_CONFIG_MISSING, E_CONFIG. */
export async function openStore(name: string, entry: StoreEntry, given: StoreTools): Promise<OpenedStore> {
  let eraser: { capabilities: { ratePerMinute: number | null } } | null = null
  let pace: Pace | null = null
  // The rate is the eraser's to say, and the eraser is made with its pace.
  const keeper = () => (pace ??= given.pace(eraser?.capabilities.ratePerMinute ?? null))
  const tools: Tools = {
    ...given,
    name,
    pace: { turn: (signal) => keeper().turn(signal), rest: (seconds) => keeper().rest(seconds) },
  }
  const opened = await open(entry, tools)
  eraser = opened.eraser
  return opened
}

async function open(entry: StoreEntry, tools: Tools): Promise<OpenedStore> {
  switch (entry.kind) {
    case 's3':
      return bound(await openS3(entry, tools))
    case 'dynamodb':
      return bound(await openDynamodb(entry, tools))
    case 'redis':
      return bound(await openRedis(entry, tools))
    case 'opensearch':
      return bound(await openOpensearch(entry, tools))
    case 'keys':
      return bound(await openKeys(entry, tools))
    case 'sendgrid':
      return bound(await openSendgrid(entry, tools))
    case 'stripe':
      return bound(await openStripe(entry, tools))
    case 'salesforce':
      return bound(await openSalesforce(entry, tools))
    case 'supabase':
      return bound(await openSupabase(entry, tools))
    case 'posthog':
      return bound(await openPosthog(entry, tools))
    case 'cloudfront':
      return bound(await openCloudfront(entry, tools))
    case 'cloudflare':
      return bound(await openCloudflare(entry, tools))
    case 'opendsr':
      return bound(await openOpendsr(entry, tools))
    case 'webhook':
      return bound(await openWebhook(entry, tools))
    case 'recipient':
      return { ...bound(await openRecipient(entry, tools)), tells: true }
    case 'declared': {
      const { declaredEraser } = await import('./stores/declared/eraser.ts')
      const { owner, holds, gone_after: goneAfter } = entry
      const eraser = declaredEraser({ name: tools.name, owner, holds, goneAfter })
      return {
        eraser,
        leads: [],
        concerns: () => true,
        tells: false,
        close: () => Promise.resolve(),
      }
    }
    case 'postgres':
      break
  }
  throw new LetheError('E_STORE_WITHOUT_ERASER', {
    message: `Store ${tools.name} is a PostgreSQL store: say which subject its rows belong to.`,
    facts: { store: tools.name },
  })
}

/** One shape for all: a plan that is whole but for whose identifiers they are. */
function bound<P extends Identified>({ eraser, plan, leads, close }: Opened<P>): OpenedStore {
  const whole = (who: Identified): P =>
    ({ ...plan, identifiers: (subject: SubjectRef) => who.identifiers(subject) }) as unknown as P
  return {
    eraser: {
      store: eraser.store,
      capabilities: eraser.capabilities,
      probe: (given, signal) => eraser.probe(whole(given), signal),
      locate: (subjects, given, signal) => eraser.locate(subjects, whole(given), signal),
      erase: (subjects, given, page, signal) => eraser.erase(subjects, whole(given), page, signal),
      verify: (subjects, given, signal) => eraser.verify(subjects, whole(given), signal),
    },
    leads,
    concerns: (identifiers) => leads.some((template) => leadsSomewhere(template, identifiers)),
    tells: false,
    close: () => {
      close?.()
      return Promise.resolve()
    },
  }
}

/** A value that can't stand in a template leads somewhere too: the eraser says what is wrong with it. */
function leadsSomewhere(template: string, identifiers: Identifiers): boolean {
  try {
    return expand(template, identifiers).length > 0
  } catch {
    return true
  }
}

async function openS3(entry: Entry<'s3'>, { name, secret }: Tools) {
  const { s3Eraser } = await import('./stores/s3/eraser.ts')
  const { region, endpoint, access_key: access, secret_key: key, places } = entry
  const eraser = s3Eraser({
    store: name,
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
}

async function openDynamodb(entry: Entry<'dynamodb'>, { name, secret }: Tools) {
  const { dynamodbEraser } = await import('./stores/dynamodb/eraser.ts')
  const { region, endpoint, access_key: access, secret_key: key } = entry
  const eraser = dynamodbEraser({
    name,
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
}

async function openRedis(entry: Entry<'redis'>, { name, secret, redisPrefix }: Tools) {
  const { redisEraser } = await import('./stores/redis/eraser.ts')
  const { places } = entry
  return {
    eraser: redisEraser({ name, url: secret(entry.url), ownPrefix: redisPrefix }),
    plan: { places },
    leads: places.map((place) =>
      'key' in place ? place.key : 'scan' in place ? place.scan : `${place.member.key}${place.member.value}`,
    ),
  }
}

async function openOpensearch(entry: Entry<'opensearch'>, { name, secret, pace }: Tools) {
  const { opensearchEraser } = await import('./stores/opensearch/eraser.ts')
  const { auth, places } = entry
  return {
    eraser: opensearchEraser({
      store: name,
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
}

async function openKeys(entry: Entry<'keys'>, tools: Tools) {
  const { keysEraser } = await import('./stores/keys/eraser.ts')
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
}

function keysOptions(entry: Entry<'keys'>, { name: store, secret, pace }: Tools) {
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
