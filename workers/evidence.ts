/** The evidence log: its keeper, and the worker of the `evidence` queue. What they do stands in jobs/evidence. */
import { monotonicMs, sleep } from '../lib/base/clock/index.ts'
import { releaseLease } from '../lib/record/ledger/index.ts'
import { errorFields } from '../lib/base/log/index.ts'
import { evidenceLease, evidenceRound } from '../jobs/evidence/index.ts'
import { consume, type WatchSettings } from './consumer.ts'
import type { Process } from './process.ts'
import type { Role, StartRole } from './role.ts'

const PAUSE_MS = 1_000
/** After an error, so that a bucket that is away isn't asked each second. */
const ERROR_PAUSE_MS = 10_000

export function evidence(process: Process, watch?: WatchSettings): StartRole {
  return async (fail) => {
    const worker = await consume(process, 'evidence', watch)(fail)
    const keeper = keep(process)
    return {
      name: 'evidence',
      problem: () => worker.problem() ?? keeper.problem(),
      async stop() {
        await Promise.all([worker.stop(), keeper.stop()])
      },
    }
  }
}

function keep({ context }: Process): Role {
  const stopping = new AbortController()
  let turned = monotonicMs()
  const rounds = async (): Promise<void> => {
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
  const kept = rounds()
  return {
    name: 'evidence log',
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
