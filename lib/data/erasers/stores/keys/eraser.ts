/**
 * Per-subject keys: with a subject's key, all that was encrypted under it goes, backups included (crypto-shredding). What
 * was ever written in the clear, or under another key, does not.
 */
import { Counts } from '../../../../base/counts/index.ts'
import type { ErasePage, Eraser } from '../../eraser.ts'
import { Findings, Grounds } from '../../findings.ts'
import { akeylessBackend, type AkeylessOptions } from './akeyless.ts'
import { kmsBackend, type KmsOptions } from './kms.ts'
import { openbaoBackend } from './openbao.ts'
import type { OpenbaoOptions } from '../../../../base/openbao/index.ts'
import { requirePlaces, sharedKeys, targetsOf, type KeysPlan } from './plan.ts'
import { nameOf, type Target } from './target.ts'
import type { Found, KeyBackend } from './backend.ts'

export type KeysEraserOptions =
  | ({ backend: 'openbao' } & OpenbaoOptions)
  | ({ backend: 'kms' } & KmsOptions)
  | ({ backend: 'akeyless' } & AkeylessOptions)

/** Keys that are read before any of them is destroyed. */
const PIECE = 50

/**
 * A page's `removed` counts keys that the backend said it destroyed, or set a date for; the latter are also `retained` until
 * then. Throws E_CONFIG for a place that can't be used, E_STORE_REFUSED, E_STORE_THROTTLED, E_STORE_UNAVAILABLE.
 */
export function keysEraser(options: KeysEraserOptions): Eraser<KeysPlan> {
  const backend = backendOf(options)
  const open = async (plan: KeysPlan, signal: AbortSignal) => {
    signal.throwIfAborted()
    requirePlaces(plan.places, backend)
    await backend.ready(plan.places, signal)
  }
  return {
    store: backend.store,
    capabilities: backend.capabilities,
    probe: open,
    async locate(subjects, plan, signal) {
      await open(plan, signal)
      const { targets } = targetsOf(plan, subjects, backend)
      const counts = new Counts()
      for (const [{ place }, found] of await readAll(backend, targets, signal))
        if (found.is === 'present') counts.add(place.name)
      return { counts: counts.plain() }
    },
    async erase(subjects, plan, { limit }, signal) {
      await open(plan, signal)
      const { targets, unfit } = targetsOf(plan, subjects, backend)
      const shared = sharedKeys(targets, subjects)
      const work = new Work(backend)
      if (unfit.size > 0)
        work.say(`${unfit.size} of the subjects have a value that can't be part of a key's name.`)
      if (shared.size > 0)
        work.say(`${shared.size} of the keys lead to more than one subject and were left as they are.`)
      return work.run(
        targets.filter((target) => !shared.has(nameOf(target))),
        limit,
        signal,
      )
    },
    async verify(subjects, plan, signal) {
      await open(plan, signal)
      const { targets, unfit } = targetsOf(plan, subjects, backend)
      const findings = new Findings(subjects.length)
      // Whoever can't be looked for is not absent.
      for (const subject of unfit) findings.left(subject, 'not looked for')
      for (const [{ subject, place }, found] of await readAll(backend, targets, signal)) {
        if (found.is === 'present') findings.left(subject, place.name)
        if (found.is === 'waiting') findings.keep(subject, place.name, found)
      }
      return findings.each()
    },
  }
}

function backendOf(options: KeysEraserOptions): KeyBackend {
  if (options.backend === 'openbao') return openbaoBackend(options)
  return options.backend === 'kms' ? kmsBackend(options) : akeylessBackend(options)
}

/** Throws the first failure: of a key that can't be read, nothing can be said. */
async function readAll(
  backend: KeyBackend,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<[Target, Found][]> {
  const all = await backend.read(targets, signal)
  return all.map((found, turn) => {
    const target = targets[turn]
    if (found.is === 'failed') throw found.error
    if (target === undefined) throw new Error('the backend spoke of more keys than it was asked about')
    return [target, found]
  })
}

/** One call of `erase`. */
class Work {
  private readonly removed = new Counts()
  private readonly retained = new Grounds()
  private readonly refused = new Counts()
  private readonly messages: string[] = []
  private away: Error | null = null
  private readonly backend: KeyBackend

  constructor(backend: KeyBackend) {
    this.backend = backend
  }

  /** A backend that is away or throttles ends the call: with what was done until then, or, where that is nothing, its error. */
  async run(targets: readonly Target[], limit: number, signal: AbortSignal): Promise<ErasePage> {
    let more = false
    for (let at = 0; at < targets.length && !more && this.away === null; at += PIECE) {
      const piece = targets.slice(at, at + PIECE)
      const found = await this.backend.read(piece, signal)
      let there = piece.filter((target, turn) => this.note(target, found[turn], false))
      // What is refused takes no room from what may go.
      while (there.length > 0 && this.removed.total < limit && this.away === null) {
        const now = there.slice(0, limit - this.removed.total)
        there = there.slice(now.length)
        const outcomes = await this.backend.destroy(now, signal)
        for (const [turn, target] of now.entries()) this.note(target, outcomes[turn], true)
      }
      more = there.length > 0
    }
    if (this.away !== null && this.removed.total === 0) throw this.away
    return {
      removed: this.removed.plain(),
      retained: this.retained.plain(),
      pending: [],
      messages: [
        ...this.messages,
        ...this.refused.sentences((count, what) => `${count} of the keys were left: ${what}`),
      ],
      more: more || this.away !== null,
    }
  }

  say(sentence: string): void {
    this.messages.push(sentence)
  }

  /** Whether the key is still there to be destroyed. */
  private note({ place }: Target, found: Found | undefined, destroyed: boolean): boolean {
    if (found === undefined) return false
    if (found.is === 'failed') {
      if (found.error.retryable) this.away ??= found.error
      else this.refused.add(found.error.message)
      return false
    }
    if (found.is === 'waiting') this.retained.add(place.name, found)
    if (destroyed && found.is !== 'present') this.removed.add(place.name)
    return found.is === 'present'
  }
}
