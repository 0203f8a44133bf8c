/** The evidence log's keeper. What a round does stands in jobs/evidence. */
import { monotonicMs, sleep } from '../lib/clock/index.ts'
import { releaseLease } from '../lib/ledger/index.ts'
import { errorFields } from '../lib/log/index.ts'
import { evidenceLease, evidenceRound } from '../jobs/evidence/index.ts'
import type { Process } from './process.ts'
import type { StartRole } from './role.ts'

const PAUSE_MS = 1_000
/** After an error, so that a bucket that is away isn't asked each second. */
const ERROR_PAUSE_MS = 10_000

export function evidence({ context }: Process): StartRole {
  return async () => {
    const stopping = new AbortController()
    let turned = monotonicMs()
    const keep = async (): Promise<void> => {
      while (!stopping.signal.aborted) {
        let pause = PAUSE_MS
        try {
          await evidenceRound(context)
        } catch (error) {
          context.log.error({ error: errorFields(error) }, 'a round of the evidence log failed')
          pause = ERROR_PAUSE_MS
        }
        turned = monotonicMs()
        await sleep(pause, stopping.signal).catch(() => undefined)
      }
    }
    const kept = keep()
    return {
      name: 'evidence',
      problem() {
        const silent = monotonicMs() - turned
        return silent > 300_000
          ? `The evidence log has not ended a round for ${Math.round(silent / 1000)} s.`
          : null
      },
      async stop() {
        stopping.abort()
        await kept
        await releaseLease(context.control, evidenceLease, context.workerId)
      },
    }
  }
}
