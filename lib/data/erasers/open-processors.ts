/** Third parties as the map declares them. What a vendor needs is loaded at its first opening. */
import { braces, credentials, given, type Entry, type Tools } from './open-tools.ts'

export async function openSendgrid(entry: Entry<'sendgrid'>, { name, secret, pace }: Tools) {
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

export async function openStripe(entry: Entry<'stripe'>, { name, secret, pace }: Tools) {
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
      byAddress: email !== undefined,
      ...given({ account, baseUrl }),
    }),
    plan: given({ customer, email }),
    leads: braces(customer, email),
  }
}

export async function openSalesforce(entry: Entry<'salesforce'>, { name, secret, pace }: Tools) {
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

export async function openSupabase(entry: Entry<'supabase'>, { name, secret, pace }: Tools) {
  const { supabaseEraser } = await import('./processors/supabase/eraser.ts')
  const { user, email } = entry
  return {
    eraser: supabaseEraser({ store: name, pace, url: entry.url, secretKey: secret(entry.secret_key) }),
    plan: given({ user, email }),
    leads: braces(user, email),
  }
}

export async function openPosthog(entry: Entry<'posthog'>, { name, secret, pace }: Tools) {
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

export async function openCloudfront(entry: Entry<'cloudfront'>, { name, secret, pace }: Tools) {
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

export async function openCloudflare(entry: Entry<'cloudflare'>, { name, secret, pace }: Tools) {
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

export async function openOpendsr(entry: Entry<'opendsr'>, { name, secret, pace, requestKey }: Tools) {
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

export async function openWebhook(entry: Entry<'webhook'>, { name, secret, pace }: Tools) {
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

export async function openRecipient(entry: Entry<'recipient'>, { name, secret, pace, requestKey }: Tools) {
  const { recipientEraser } = await import('./processors/recipient/eraser.ts')
  return {
    eraser: recipientEraser({
      name,
      pace,
      requestKey,
      url: secret(entry.url),
      secret: secret(entry.secret),
      allowPrivate: entry.allow_private,
      ratePerMinute: entry.rate_per_minute ?? null,
    }),
    plan: { sends: entry.sends },
    leads: braces(...entry.sends),
  }
}
