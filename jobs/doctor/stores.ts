/** Every other place that holds something of a subject: opened, asked whether a call could work, and led to by identifiers. */
import type { Config } from '../../lib/config/index.ts'
import { otherStore, type SubjectEntry, namesIn } from '../../lib/data/datamap/index.ts'
import { openStore, type OpenedStore } from '../../lib/data/erasers/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { openKeystore } from '../../lib/base/keystore/index.ts'
import { examine, type Finding } from './finding.ts'

const PROBE_MS = 10_000

export interface OtherStores {
  findings: Finding[]
  opened: ReadonlyMap<string, OpenedStore>
  close(): Promise<void>
}

/** Opens and probes, all at once, each store that a subject names. Without a keystore none: that is a finding of its own. */
export async function examineStores(config: Config): Promise<OtherStores> {
  const opened = new Map<string, OpenedStore>()
  const keystore = await openKeystore(config.keystorePath).catch(() => null)
  const names = new Set(
    Object.values(config.file.subjects).flatMap(({ other_stores: others }) =>
      others.flatMap((entry) => {
        const { store, linked } = otherStore(entry)
        return linked === null ? [store] : []
      }),
    ),
  )
  const findings = await Promise.all(
    [...names].map(async (name) => {
      const entry = config.file.stores[name]
      if (entry === undefined || keystore === null) return []
      const check = examine('store', name)
      const signal = AbortSignal.timeout(PROBE_MS)
      try {
        const store = await openStore(name, entry, {
          secret: (reference) => config.secret(reference),
          // a handful of calls that read, beside the pace that the workers share
          pace: () => ({ turn: () => Promise.resolve(), rest: () => Promise.resolve() }),
          redisPrefix: config.file.operations.redis_prefix,
          requestKey: keystore.pseudonymKey(name),
        })
        opened.set(name, store)
        await store.probe(signal)
        return check.ok(
          entry.kind === 'declared' ? `${entry.owner} answers for it` : `it answers, and a call could work`,
        )
      } catch (error) {
        return problem(error, signal, check)
      }
    }),
  )
  return {
    findings: findings.flat(),
    opened,
    close: async () => {
      await Promise.allSettled([...opened.values()].map((store) => store.close()))
    },
  }
}

/** Away is a warning: requests wait for it and go on by themselves. What only a person mends fails. */
function problem(error: unknown, signal: AbortSignal, check: ReturnType<typeof examine>): Finding[] {
  if (signal.aborted)
    return check.warning(
      `It did not answer within ${PROBE_MS / 1000} s: legs of erasure requests wait for it.`,
      'Look whether it runs and can be reached from here; nothing has to be begun anew afterwards.',
    )
  if (!(error instanceof LetheError)) throw error
  const message = `${error.code}: ${error.message}`
  return error.retryable
    ? check.warning(`${message} Legs of erasure requests wait for it.`, error.next)
    : check.error(message, error.next)
}

/** `key`: names of the subject's key columns, which are identifiers too. */
export function examineLeads(
  subject: SubjectEntry,
  kind: string,
  key: readonly string[],
  opened: ReadonlyMap<string, OpenedStore>,
): Finding[] {
  const known = new Set([...key, ...Object.keys(subject.identifiers)])
  const lost = (template: string) => namesIn(template).filter((name) => !known.has(name))
  return subject.other_stores.flatMap((entry) => {
    const { store, linked } = otherStore(entry)
    const leads = linked === null ? (opened.get(store)?.leads ?? []) : [linked.key.join(' ')]
    const astray = leads.filter((template) => lost(template).length > 0)
    if (astray.length === 0) return []
    const check = examine('store-identifiers', store)
    const names = [...new Set(astray.flatMap(lost))].join(', ')
    const mend = `Declare it under subjects.${kind}.identifiers, or mend the name in the store's places.`
    return astray.length === leads.length
      ? check.error(
          `No identifier of ${kind} leads there: nothing would be looked for. Missing: ${names}.`,
          mend,
        )
      : check.warning(`Some places are led to by no identifier of ${kind}: ${names}.`, mend)
  })
}
