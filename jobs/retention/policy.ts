/** A retention policy as it is applied: its period after the clamps, and the version that is armed and approved. */
import type { ResolvedPolicy } from '../../lib/config/index.ts'
export { policyVersion } from '../../lib/config/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import type { Demand } from '../../lib/people/identity/index.ts'
import type { Context } from '../context.ts'

/** Who decides about its proposals and appraises for it. */
export function deciderOf(policy: Pick<ResolvedPolicy, 'approver_role' | 'second_factor'>): Demand {
  return { roles: [policy.approver_role, 'cto'], secondFactor: policy.second_factor }
}

export interface EffectivePeriod {
  /** As PostgreSQL reads an interval: "30 days". */
  period: string
  /** Why it isn't the period that was written: which clamp decided, and its source. Null: no clamp did. */
  clamped: string | null
}

/** Throws E_NOT_FOUND with the names there are. */
export function findPolicy(context: Pick<Context, 'config'>, name: string): ResolvedPolicy {
  const { policies, path } = context.config
  const policy = Object.hasOwn(policies, name) ? policies[name] : undefined
  if (policy !== undefined) return policy
  throw new LetheError('E_NOT_FOUND', {
    message: `${path} has no policy ${name}.`,
    next: `Name one of: ${Object.keys(policies).join(', ') || '(none yet)'}.`,
  })
}

/** A legal minimum wins over a shorter choice, a legal maximum over a longer one. */
export function effectivePeriod(policy: Pick<ResolvedPolicy, 'period' | 'clamp'>): EffectivePeriod {
  const { minimum, maximum } = policy.clamp
  if (minimum !== undefined && days(policy.period) < days(minimum.period))
    return {
      period: minimum.period,
      clamped: `raised from ${policy.period} to the minimum of ${minimum.period} (${minimum.source})`,
    }
  if (maximum !== undefined && days(policy.period) > days(maximum.period))
    return {
      period: maximum.period,
      clamped: `cut from ${policy.period} to the maximum of ${maximum.period} (${maximum.source})`,
    }
  return { period: policy.period, clamped: null }
}

const daysOf = { day: 1, month: 365.25 / 12, year: 365.25 } as const

/** Near enough to compare two periods; what is due is computed by PostgreSQL's calendar. */
function days(period: string): number {
  const [count = '0', unit = 'day'] = period.split(' ')
  const name = unit.replace(/s$/, '')
  return Number(count) * (name === 'year' ? daysOf.year : name === 'month' ? daysOf.month : daysOf.day)
}
