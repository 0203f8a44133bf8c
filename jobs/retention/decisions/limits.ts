/** The blast radius of a proposal: what stops it until a person overrides it by name. */
import type { ResolvedPolicy } from '../../../lib/config/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import type { LimitVerdict, Proposal } from '../../../lib/record/proposals/index.ts'
import type { Found } from '../propose.ts'

/** Each limit with its figures. Without three runs to compare with, the median says nothing. */
export function judgeLimits(
  found: Found,
  limits: ResolvedPolicy['limits'],
  median: number | null,
): LimitVerdict[] {
  const rows = Object.values(found.rows).reduce((sum, n) => sum + n, 0)
  const share = found.rootRows === 0 ? 0 : found.population / found.rootRows
  const verdict = (name: LimitVerdict['name'], value: number, limit: number): LimitVerdict => ({
    name,
    value,
    limit,
    exceeded: value > limit,
  })
  return [
    verdict('rows', rows, limits.rows),
    verdict('share', share, limits.share),
    ...(median === null ? [] : [verdict('median', found.population, limits.median_multiple * median)]),
  ]
}

/** The limits of a proposal that stop it, with their figures and the command that overrides them by name. */
export function limitsError(proposal: Proposal, missing: readonly string[]): LetheError {
  const lines = proposal.limits
    .filter((limit) => missing.includes(limit.name))
    .map((limit) => `${limit.name}: ${round(limit.value)}, the limit is ${round(limit.limit)}`)
  return new LetheError('E_LIMITS', {
    message: `Proposal ${proposal.id} of policy ${proposal.policy} passes its blast radius: ${lines.join('; ')}.`,
    next: `If the figures are right: lethe retention approve ${proposal.id} --override ${missing.join(',')} --reason … (role cto).`,
    facts: { proposal: proposal.id, limits: proposal.limits },
  })
}

export function exceeded(proposal: Proposal): string[] {
  return proposal.limits.filter((limit) => limit.exceeded).map((limit) => limit.name)
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
