/** What may be said of a Redis error: one word. The error itself carries the command with its keys and values. */
import { LetheError } from '../../../../base/errors/index.ts'

export interface Failure {
  word: string
  /** The server or cluster can't at the moment; false: it answered that it won't. */
  passing: boolean
}

const passing = new Set(
  'ASK BUSY CLUSTERDOWN LOADING MASTERDOWN MISCONF MOVED NOREPLICAS OOM READONLY TRYAGAIN'.split(' '),
)

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { word: 'unknown error', passing: true }
  if (error.name === 'ReplyError') {
    if (/max number of clients/.test(error.message)) return { word: 'too many clients', passing: true }
    const [word = ''] = /^[A-Z]+(?= )/.exec(error.message) ?? ['ReplyError']
    return { word, passing: passing.has(word) }
  }
  if ('code' in error && typeof error.code === 'string') return { word: error.code, passing: true }
  return { word: /tim(ed ?|e)out/i.test(error.message) ? 'timed out' : 'connection lost', passing: true }
}

/** E_STORE_UNAVAILABLE, to be tried again, or E_STORE_REFUSED. */
export function storeError(store: string, what: string, failure: Failure, left?: string): LetheError {
  return new LetheError(failure.passing ? 'E_STORE_UNAVAILABLE' : 'E_STORE_REFUSED', {
    message: `Redis ${store} did not ${what} (${failure.word}).`,
    facts: { store, reason: failure.word },
    ...(left === undefined ? {} : { left }),
  })
}
