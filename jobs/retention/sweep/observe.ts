/** The dispatcher's part of the sweep: decided runs are woken, and what can be counted is. */
import { countHolds, listStops } from '../../../lib/record/holds/index.ts'
import { countWaiting, policiesBehind } from '../../../lib/record/proposals/index.ts'
import type { Context } from '../../context.ts'
import { refreshIssuerKeys } from '../../issuer-keys.ts'
import { wakeDecided } from '../decisions/decide.ts'

export async function observe(context: Context): Promise<void> {
  const { control, metrics } = context
  await wakeDecided(control)
  await refreshIssuerKeys(context)
  metrics.proposalsWaiting.set(await countWaiting(control))
  metrics.stopped.reset()
  for (const { scope, name } of await listStops(control)) metrics.stopped.set({ scope, name }, 1)
  metrics.holdsOverdue.set((await countHolds(control)).overdue)
  const behind = await policiesBehind(control)
  metrics.policyBehindSeconds.reset()
  for (const { policy, seconds } of behind) metrics.policyBehindSeconds.set({ policy }, seconds)
}
