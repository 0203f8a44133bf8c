/**
 * Redaction jobs (docs.stripe.com/privacy/redaction): created, validated, run, and done some time later. A preview.
 * A job that fails holds its customers locked until it is cancelled.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { LetheError } from '../../../../base/errors/index.ts'
import { jobId } from '../resume.ts'
import { askStripe, PREVIEW, type StripeSide } from './client.ts'

/** Objects that a new job takes. */
export const OBJECTS = 10
const PATH = '/v1/privacy/redaction_jobs'
/** Jobs of the same customers that were cancelled before, within the day that Stripe remembers a key. */
const FORMER = 20

const redactionJob = z.object({
  id: jobId,
  status: z.enum([
    'created',
    'validating',
    'ready',
    'failed',
    'redacting',
    'succeeded',
    'canceling',
    'canceled',
  ]),
  objects: z.object({ customers: z.array(z.string()).nullish() }).nullish(),
  validation_errors: z.object({ data: z.array(z.object({ code: z.string() })) }).nullish(),
})
type RedactionJob = z.infer<typeof redactionJob>

/**
 * Returns the job's id. Asked for twice in a run it is the same job, so that one whose id was lost in a crash is found
 * again and doesn't lock the customers from its follower.
 */
export async function startRedaction(
  side: StripeSide,
  runId: string,
  customers: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const parameters = {
    objects: { customers: [...customers] },
    validation_behavior: side.options.validation ?? 'error',
  }
  let key = hash([runId, ...[...customers].sort()].join('\n'))
  for (let former = 0; ; former++) {
    const { id } = await post(side, 'start a redaction job', PATH, parameters, signal, key)
    const job = former < FORMER ? await readRedaction(side, id, signal) : null
    if (job?.status !== 'canceled') return id
    key = hash(`${key}\n${id}`)
  }
}

/** Null: Stripe doesn't know it. */
export async function readRedaction(
  side: StripeSide,
  id: string,
  signal: AbortSignal,
): Promise<RedactionJob | null> {
  const query = '?expand[]=objects&expand[]=validation_errors.data'
  return askStripe(
    side,
    'look at a redaction job',
    (stripe) => stripe.rawRequest('GET', `${PATH}/${id}${query}`, undefined, { apiVersion: PREVIEW }),
    redactionJob,
    signal,
  )
}

/** From here on it can't be stopped. */
export async function runRedaction(side: StripeSide, id: string, signal: AbortSignal): Promise<void> {
  await post(side, 'run a redaction job', `${PATH}/${id}/run`, {}, signal)
}

export async function cancelRedaction(side: StripeSide, id: string, signal: AbortSignal): Promise<void> {
  await post(side, 'cancel a redaction job', `${PATH}/${id}/cancel`, {}, signal)
}

/** Reads only. Throws E_STORE_REFUSED where the account doesn't have the preview: the address is unknown there. */
export async function probeRedaction(side: StripeSide, signal: AbortSignal): Promise<void> {
  try {
    await askStripe(
      side,
      'list redaction jobs',
      (stripe) => stripe.rawRequest('GET', PATH, undefined, { apiVersion: PREVIEW }),
      z.object({ data: z.array(z.unknown()) }),
      signal,
    )
  } catch (error) {
    if (!(error instanceof LetheError) || error.code !== 'E_STORE_REFUSED') throw error
    throw new LetheError('E_STORE_REFUSED', {
      message: `Stripe (${side.store}) has no redaction jobs for this account or key.`,
      next: 'Ask Stripe for the preview of redaction jobs and give the key the right to them, or set redaction: false.',
      facts: error.facts,
    })
  }
}

async function post(
  side: StripeSide,
  what: string,
  path: string,
  parameters: object,
  signal: AbortSignal,
  idempotencyKey?: string,
): Promise<RedactionJob> {
  const options = { apiVersion: PREVIEW, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) }
  const job = await askStripe(
    side,
    what,
    (stripe) => stripe.rawRequest('POST', path, parameters, options),
    redactionJob,
    signal,
  )
  if (job === null)
    throw new LetheError('E_STORE_REFUSED', {
      message: `Stripe (${side.store}) doesn't know the job or a customer: ${what}.`,
      facts: { store: side.store, status: 400 },
    })
  return job
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
