/** The evidence log's witnesses: second parties that are shown each head, and say with their key that they saw it. */
import { monotonicMs } from '../../lib/base/clock/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import {
  cosignHead,
  parseVerifierKey,
  showHead,
  type Head,
  type Witness,
} from '../../lib/record/evidence/index.ts'
import { errorFields } from '../../lib/base/log/index.ts'
import type { Context } from '../context.ts'

/** Between two times that witnesses are asked for the same head. */
const AGAIN_MS = 60_000
const asked = new WeakMap<Database, number>()

/** Those of the configuration. Throws E_EVIDENCE_KEY. */
export function configuredWitnesses({ config }: Pick<Context, 'config'>): Witness[] {
  const entries = config.file.evidence?.witnesses ?? []
  return entries.map(({ url, key }) => ({ url, key: parseVerifierKey(key) }))
}

/**
 * How many cosigned the newest head; `fresh`: it was signed just now. One that is away or refuses is logged, and asked again
 * with the next head or after a minute. Throws E_EVIDENCE_BROKEN where a witness knows more of the log than the control
 * database, or something else: then nothing is published.
 */
export async function askWitnesses(context: Context, fresh: boolean): Promise<number> {
  const { control, log } = context
  const witnesses = configuredWitnesses(context)
  const now = monotonicMs()
  if (witnesses.length === 0 || (!fresh && now - (asked.get(control) ?? -Infinity) < AGAIN_MS)) return 0
  asked.set(control, now)
  const answers = await Promise.allSettled(witnesses.map(async (one) => cosignHead(control, one)))
  const failures = answers.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []))
  const [grave] = failures.filter((error) => !isOnlyAway(error))
  for (const error of failures) {
    if (error !== grave) log.warn({ error: errorFields(error) }, 'a witness did not cosign the head')
  }
  if (grave !== undefined) {
    // So that no round passes over what this one found.
    asked.delete(control)
    throw grave
  }
  return answers.filter((one) => one.status === 'fulfilled' && one.value !== null).length
}

/** Before a head is stored: whether a witness has seen another history, or more of this one. Throws E_EVIDENCE_BROKEN. */
export async function tryWitnesses(context: Context, head: Pick<Head, 'size' | 'note'>): Promise<void> {
  const asking = configuredWitnesses(context).map(async (one) => showHead(context.control, one, head))
  for (const answer of await Promise.allSettled(asking))
    if (answer.status === 'rejected' && !isOnlyAway(answer.reason)) throw answer.reason
}

function isOnlyAway(error: unknown): boolean {
  return (
    error instanceof LetheError &&
    (error.code === 'E_EVIDENCE_WITNESS' || error.code === 'E_EVIDENCE_WITNESS_REFUSED')
  )
}
