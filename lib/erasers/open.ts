/** From a store as the map declares it to its eraser: the one place that knows them all. What a store needs is loaded with it. */
import type { StoreEntry } from '../datamap/index.ts'
import type { Eraser, SubjectRef } from './eraser.ts'
import { expand, type Identified, type Identifiers } from './identifiers.ts'
import { LetheError } from '../errors/index.ts'
import type { Pace } from './pace.ts'

export interface StoreTools {
  /** What `env:NAME` or `file:/path` stands for. */
  secret(reference: string): string
  /** The turns of this store's calls, shared by all workers. */
  pace(perMinute: number | null): Pace
  /** Where Lethe's own keys begin in Redis: no plan may reach them. */
  redisPrefix: string
  /** A secret of this store alone, for ids that tell nobody whose they are. */
  requestKey: string
}

export interface OpenedStore {
  eraser: Eraser<Identified>
  /** Whether anything here is led to by these identifiers. */
  concerns(identifiers: Identifiers): boolean
  /** What goes with it can't be brought back by anything, so it goes last. */
  shredsKeys: boolean
  close(): Promise<void>
}

type Entry<K extends StoreEntry['kind']> = Extract<StoreEntry, { kind: K }>
type Opened<P extends Identified> = {
  eraser: Eraser<P>
  /** The plan, but for whose identifiers they are. */
  plan: Omit<P, 'identifiers'>
  /** What leads somewhere here: templates, or names of identifiers in braces. */
  leads: readonly string[]
  close?: () => void
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

type Tools = Omit<StoreTools, 'pace'> & { name: string; pace: Pace }

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
      return { ...bound(await openKeys(entry, tools)), shredsKeys: true }
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
    case 'declared': {
      const { declaredEraser } = await import('./stores/declared/eraser.ts')
      const { owner, holds, gone_after: goneAfter } = entry
      const eraser = declaredEraser({ name: tools.name, owner, holds, goneAfter })
      return { eraser, concerns: () => true, shredsKeys: false, close: () => Promise.resolve() }
    }
    case 'postgres':
      throw new LetheError('E_STORE_WITHOUT_ERASER', {
        message: `Store ${tools.name} is a PostgreSQL store: say which subject its rows belong to.`,
        facts: { store: tools.name },
      })
  }
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
    concerns: (identifiers) => leads.some((template) => leadsSomewhere(template, identifiers)),
    shredsKeys: false,
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
  const eraser = dynamodbEraser({ name, region, ...given({ endpoint }), ...credentials(secret, access, key) })
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

async function openSendgrid(entry: Entry<'sendgrid'>, { name, secret, pace }: Tools) {
  const { sendgridEraser } = await import('./processors/sendgrid/eraser.ts')
  return {
    eraser: sendgridEraser({
      name,
      pace,
      apiKey: secret(entry.api_key),
      region: entry.region,
      deleteSuppressions: entry.delete_suppressions,
      ...given({ subuser: entry.subuser, baseUrl: entry.base_url }),
    }),
    plan: { email: entry.email },
    leads: [`{${entry.email}}`],
  }
}

async function openStripe(entry: Entry<'stripe'>, { name, secret, pace }: Tools) {
  const { stripeEraser } = await import('./processors/stripe/eraser.ts')
  const { account, customer, email, redaction, validation, search, base_url: baseUrl } = entry
  return {
    eraser: stripeEraser({
      name,
      pace,
      apiKey: secret(entry.api_key),
      redaction,
      validation,
      search,
      ...given({ account, baseUrl }),
    }),
    plan: given({ customer, email }),
    leads: braces(customer, email),
  }
}

async function openSalesforce(entry: Entry<'salesforce'>, { name, secret, pace }: Tools) {
  const { salesforceEraser } = await import('./processors/salesforce/eraser.ts')
  return {
    eraser: salesforceEraser({
      store: name,
      pace,
      url: entry.url,
      clientId: secret(entry.client_id),
      clientSecret: secret(entry.client_secret),
    }),
    plan: { objects: entry.objects },
    leads: entry.objects.flatMap(({ where }) => braces(...Object.values(where))),
  }
}

async function openSupabase(entry: Entry<'supabase'>, { name, secret, pace }: Tools) {
  const { supabaseEraser } = await import('./processors/supabase/eraser.ts')
  const { user, email } = entry
  return {
    eraser: supabaseEraser({ store: name, pace, url: entry.url, secretKey: secret(entry.secret_key) }),
    plan: given({ user, email }),
    leads: braces(user, email),
  }
}

async function openPosthog(entry: Entry<'posthog'>, { name, secret, pace }: Tools) {
  const { posthogEraser } = await import('./processors/posthog/eraser.ts')
  const { distinct_id: distinctId, email } = entry
  return {
    eraser: posthogEraser({
      store: name,
      pace,
      url: entry.url,
      project: entry.project,
      apiKey: secret(entry.api_key),
    }),
    plan: given({ distinctId, email }),
    leads: braces(distinctId, email),
  }
}

async function openCloudfront(entry: Entry<'cloudfront'>, { name, secret, pace }: Tools) {
  const { cloudfrontEraser } = await import('./processors/cloudfront/eraser.ts')
  const { verify_urls: origin, gone_statuses: gone } = entry
  const places = entry.places.map((place) => ({ name: place.name, template: place.path }))
  return {
    eraser: cloudfrontEraser({
      name,
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
}

async function openCloudflare(entry: Entry<'cloudflare'>, { name, secret, pace }: Tools) {
  const { cloudflareEraser } = await import('./processors/cloudflare/eraser.ts')
  const places = entry.places.map((place) => ({ name: place.name, template: place.url }))
  return {
    eraser: cloudflareEraser({
      name,
      pace,
      zone: entry.zone,
      token: secret(entry.token),
      plan: entry.plan,
      ...(entry.verify_urls ? { verifyUrls: { gone: entry.gone_statuses } } : {}),
    }),
    plan: { places },
    leads: places.map(({ template }) => template),
  }
}

async function openOpendsr(entry: Entry<'opendsr'>, { name, secret, pace, requestKey }: Tools) {
  const { opendsrEraser } = await import('./processors/opendsr/eraser.ts')
  return {
    eraser: opendsrEraser({
      name,
      pace,
      requestKey,
      url: entry.url,
      authorization: secret(entry.authorization),
      certificate: secret(entry.certificate),
      version: entry.version,
      regulation: entry.regulation,
      discovery: entry.discovery,
      allowPrivate: entry.allow_private,
      ...given({ controllerId: entry.controller_id, verifyUrl: entry.verify_url }),
    }),
    plan: { identities: entry.identities },
    leads: braces(...entry.identities.map(({ from }) => from)),
  }
}

async function openWebhook(entry: Entry<'webhook'>, { name, secret, pace }: Tools) {
  const { webhookEraser } = await import('./processors/webhook/eraser.ts')
  return {
    eraser: webhookEraser({
      name,
      pace,
      url: secret(entry.url),
      secret: secret(entry.secret),
      allowPrivate: entry.allow_private,
      declared: {
        settleSeconds: entry.settle_seconds,
        ratePerMinute: entry.rate_per_minute ?? null,
        sideEffects: entry.side_effects,
        irreversibleAfter: entry.irreversible_after,
      },
    }),
    plan: { sends: entry.sends, places: entry.places },
    leads: braces(...entry.sends),
  }
}

function credentials(
  secret: StoreTools['secret'],
  access: string | undefined,
  key: string | undefined,
): { credentials?: { accessKeyId: string; secretAccessKey: string } } {
  return access === undefined || key === undefined
    ? {}
    : { credentials: { accessKeyId: secret(access), secretAccessKey: secret(key) } }
}

function braces(...names: readonly (string | undefined)[]): string[] {
  return names.flatMap((name) => (name === undefined ? [] : [`{${name}}`]))
}

/** Without what is undefined: an option that isn't given is absent. */
function given<T extends Record<string, unknown>>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}
