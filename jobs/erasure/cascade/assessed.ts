/** What stays and what goes of the classes that ask a person is verified before anything goes: no row is believed. */
import { LetheError } from '../../../lib/base/errors/index.ts'
import { authorise } from '../../../lib/people/identity/index.ts'
import {
  decisionsOf,
  moveRequests,
  type ErasureRequest,
  type StoredDecision,
} from '../../../lib/record/requests/index.ts'
import { verifyDecision } from '../../verify-decision.ts'
import { classesOf } from '../plans.ts'
import { requestStatement } from '../statements.ts'
import { ids, mover } from './going.ts'
import type { House } from './house.ts'

/**
 * Those about whose classes a verified person decided what the record says, where the map has a class that asks; any other
 * comes before a person, and holds up nobody else. One query for all. Throws E_ISSUER_UNAVAILABLE, which is tried again.
 */
export async function asAssessed(
  house: House,
  requests: readonly ErasureRequest[],
): Promise<ErasureRequest[]> {
  const { context } = house
  const { classes } = context.config.file.erasure
  const asked =
    requests.length === 0 || Object.values(classes).every(({ decision }) => decision !== 'ask')
      ? []
      : classesOf(context, await house.plan([])).filter((name) => classes[name]?.decision === 'ask')
  if (asked.length === 0) return [...requests]
  const made = Map.groupBy(
    (await decisionsOf(context.control, ids(requests))).filter(({ verb }) => verb === 'assess'),
    ({ requestId }) => requestId,
  )
  const verified: ErasureRequest[] = []
  for (const request of requests) {
    const decision = made.get(request.id)?.at(-1)
    const fits =
      decision !== undefined &&
      asked.every(
        (name) =>
          (decision.data[name] === 'retain') === (request.retainedClasses ?? []).includes(name) &&
          decision.data[name] !== undefined,
      )
    if (fits && (await isVerified(house, request, decision))) verified.push(request)
    else
      await moveRequests(context.control, 'attend', [request.id], mover(house), {
        next: `'infinity'`,
        waitingFor: 'unverified-assessment',
      })
  }
  return verified
}

async function isVerified(
  { context }: House,
  request: ErasureRequest,
  { statement, actor, data }: StoredDecision,
): Promise<boolean> {
  if (statement === null) return false
  try {
    const identity = await verifyDecision(
      context,
      {
        what: `What was decided about the classes of request ${request.id}`,
        statement,
        actor,
        facts: { request: request.id },
        next: `Look at it: lethe erasure status ${request.id}.`,
      },
      (reason) => requestStatement('erasure.assess', request.id, data, reason),
    )
    authorise(context.config.file, identity, 'erasure.assess')
    return true
  } catch (error) {
    if (!(error instanceof LetheError) || error.retryable) throw error
    context.log.error({ request: request.id, code: error.code }, 'an assessment could not be verified')
    return false
  }
}
