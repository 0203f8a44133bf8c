/** The issuer's keys as this worker keeps them, and how long the tokens of decisions are kept. */
import { monotonicMs } from '../lib/base/clock/index.ts'
import { databaseNow } from '../lib/base/db/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import { errorFields } from '../lib/base/log/index.ts'
import { fetchIssuerKeys, keysFor, type SeenKey } from '../lib/people/identity/index.ts'
import { forgetToken, keepIssuerKeys, keptIssuerKeys, oldTokens } from '../lib/record/decisions/index.ts'
import type { Context } from './context.ts'
import { inForce } from './in-force.ts'

/** Issuers rotate keys over days, and announce one before they use it. */
const REFRESH_MS = 3_600_000
const RETRY_MS = 300_000

type Needs = Pick<Context, 'config' | 'control' | 'keystore'>

/**
 * Keys to verify this token with: those kept, and where none of them fits, what the issuer publishes now, which is kept.
 * Throws E_ISSUER_UNAVAILABLE.
 */
export async function issuerKeysFor(context: Needs, token: string): Promise<readonly SeenKey[]> {
  const { control, keystore, config } = context
  const { oidc } = config.file
  if (oidc === undefined) return []
  const kept = keysFor(token, await keptIssuerKeys(control, keystore, oidc.issuer))
  if (kept.length > 0) return kept
  await fetchAndKeep(context)
  return keysFor(token, await keptIssuerKeys(control, keystore, oidc.issuer))
}

async function fetchAndKeep({ control, keystore, config }: Needs): Promise<void> {
  const { oidc } = config.file
  if (oidc === undefined) return
  await keepIssuerKeys(control, keystore, oidc.issuer, await fetchIssuerKeys(oidc))
}

/** When each issuer is asked next, by this process's clock: an issuer that is away is not asked in each round. */
const nextAt = new Map<string, number>()

/**
 * Fetches the keys once an hour, so that a decision is verified although its key was rotated since; and forgets tokens of
 * decisions that nothing in force stands on, after `oidc.token_days`. The dispatcher calls it in each round. An issuer that
 * is away is logged, and nothing waits for it.
 */
export async function refreshIssuerKeys(context: Pick<Context, 'log'> & Needs): Promise<void> {
  const { oidc } = context.config.file
  if (oidc === undefined || monotonicMs() < (nextAt.get(oidc.issuer) ?? 0)) return
  nextAt.set(oidc.issuer, monotonicMs() + RETRY_MS)
  try {
    const [newest] = await keptIssuerKeys(context.control, context.keystore, oidc.issuer)
    const now = await databaseNow(context.control)
    if (newest === undefined || now.getTime() - newest.lastSeen.getTime() >= REFRESH_MS)
      await fetchAndKeep(context)
  } catch (error) {
    if (!(error instanceof LetheError) || error.code !== 'E_ISSUER_UNAVAILABLE') throw error
    context.log.warn(errorFields(error), 'the keys of the identity provider were not fetched')
  }
  await forgetTokens(context, oidc.token_days)
}

async function forgetTokens({ control }: Needs, days: number): Promise<void> {
  for (const statement of await oldTokens(control, days))
    if ((await inForce(control, statement)) === null) await forgetToken(control, statement)
}
