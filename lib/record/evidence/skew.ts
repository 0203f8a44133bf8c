/** Two clocks that disagree: one of them would sign a wrong time, or let go what has to be kept. */
import { wallClock } from '../../base/clock/index.ts'
import { MAX_SKEW_SECONDS } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'

/** `now`: the control database's. Throws E_EVIDENCE_CLOCK where this worker's is more than a minute away. */
export function refuseSkew(now: Date, what: string): void {
  const seconds = Math.round((wallClock().getTime() - now.getTime()) / 1000)
  if (Math.abs(seconds) <= MAX_SKEW_SECONDS) return
  throw new LetheError('E_EVIDENCE_CLOCK', {
    message: `${what}: the control database's clock and this worker's are ${Math.abs(seconds)} s apart.`,
    facts: { seconds },
  })
}
