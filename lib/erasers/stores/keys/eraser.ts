/**
 * Per-subject keys: with a subject's key, all that was encrypted under it goes, backups included (crypto-shredding). What
 * was ever written in the clear, or under another key, does not.
 */
import type { ErasePage, Eraser, Retained, Verification } from '../../eraser.ts'
import { akeylessVault, type AkeylessOptions } from './akeyless.ts'
import { kmsVault, type KmsOptions } from './kms.ts'
import { openbaoVault, type OpenbaoOptions } from './openbao.ts'
import { nameOf, requirePlaces, sharedKeys, targetsOf, type KeysPlan, type Target } from './plan.ts'
import type { Found, KeyVault } from './vault.ts'

export type KeysEraserOptions =
  | ({ backend: 'openbao' } & OpenbaoOptions)
  | ({ backend: 'kms' } & KmsOptions)
  | ({ backend: 'akeyless' } & AkeylessOptions)

/** Keys that are read before any of them is destroyed. */
const PIECE = 50

/**
 * A page's `removed` counts keys that the vault said it destroyed, or set a date for; the latter are also `retained` until
 * then. Throws E_CONFIG for a place that can't be used, E_STORE_REFUSED, E_STORE_THROTTLED, E_STORE_UNAVAILABLE.
 */
export function keysEraser(options: KeysEraserOptions): Eraser<KeysPlan> {
  const vault = vaultOf(options)
  const open = async (plan: KeysPlan, signal: AbortSignal) => {
    signal.throwIfAborted()
    requirePlaces(plan.places, vault)
    await vault.ready(plan.places, signal)
  }
  return {
    store: vault.store,
    capabilities: vault.capabilities,
    probe: open,
    async locate(subjects, plan, signal) {
      await open(plan, signal)
      const { targets } = targetsOf(plan, subjects, vault)
      const counts: Record<string, number> = {}
      for (const [target, found] of await readAll(vault, targets, signal))
        if (found.is === 'present') add(counts, target)
      return { counts }
    },
    async erase(subjects, plan, { limit }, signal) {
      await open(plan, signal)
      const { targets, unfit } = targetsOf(plan, subjects, vault)
      const shared = sharedKeys(targets, subjects)
      const work = new Work(vault)
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
      const { targets, unfit } = targetsOf(plan, subjects, vault)
      const findings = subjects.map(() => ({ left: {} as Record<string, number>, retained: new Grounds() }))
      for (const [target, found] of await readAll(vault, targets, signal)) {
        const finding = findings[target.subject]
        if (found.is === 'present' && finding !== undefined) add(finding.left, target)
        if (found.is === 'waiting') finding?.retained.add(target, found)
      }
      return findings.map(({ left, retained }, subject): Verification => ({
        // Whoever can't be looked for is not absent.
        absent: Object.keys(left).length === 0 && !unfit.has(subject),
        left: unfit.has(subject) ? { 'not looked for': 1, ...left } : left,
        retained: retained.plain(),
      }))
    },
  }
}

function vaultOf(options: KeysEraserOptions): KeyVault {
  if (options.backend === 'openbao') return openbaoVault(options)
  return options.backend === 'kms' ? kmsVault(options) : akeylessVault(options)
}

/** Throws the first failure: of a key that can't be read, nothing can be said. */
async function readAll(
  vault: KeyVault,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<[Target, Found][]> {
  const all = await vault.read(targets, signal)
  return all.map((found, turn) => {
    const target = targets[turn]
    if (found.is === 'failed') throw found.error
    if (target === undefined) throw new Error('the vault spoke of more keys than it was asked about')
    return [target, found]
  })
}

/** One call of `erase`. */
class Work {
  private readonly removed: Record<string, number> = {}
  private readonly retained = new Grounds()
  private readonly refused = new Map<string, number>()
  private readonly messages: string[] = []
  private away: Error | null = null
  private count = 0
  private readonly vault: KeyVault

  constructor(vault: KeyVault) {
    this.vault = vault
  }

  /** A vault that is away or throttles ends the call: with what was done until then, or, where that is nothing, its error. */
  async run(targets: readonly Target[], limit: number, signal: AbortSignal): Promise<ErasePage> {
    let more = false
    for (let at = 0; at < targets.length && !more && this.away === null; at += PIECE) {
      const piece = targets.slice(at, at + PIECE)
      const found = await this.vault.read(piece, signal)
      let there = piece.filter((target, turn) => this.note(target, found[turn], false))
      // What is refused takes no room from what may go.
      while (there.length > 0 && this.count < limit && this.away === null) {
        const now = there.slice(0, limit - this.count)
        there = there.slice(now.length)
        const outcomes = await this.vault.destroy(now, signal)
        for (const [turn, target] of now.entries()) this.note(target, outcomes[turn], true)
      }
      more = there.length > 0
    }
    if (this.away !== null && this.count === 0) throw this.away
    return {
      removed: this.removed,
      retained: this.retained.plain(),
      pending: [],
      messages: [
        ...this.messages,
        ...[...this.refused].map(([what, count]) => `${count} of the keys were left: ${what}`),
      ],
      more: more || this.away !== null,
    }
  }

  say(sentence: string): void {
    this.messages.push(sentence)
  }

  /** Whether the key is still there to be destroyed. */
  private note(target: Target, found: Found | undefined, destroyed: boolean): boolean {
    if (found === undefined) return false
    if (found.is === 'failed') {
      if (found.error.retryable) this.away ??= found.error
      else this.refused.set(found.error.message, (this.refused.get(found.error.message) ?? 0) + 1)
      return false
    }
    if (found.is === 'waiting') this.retained.add(target, found)
    if (destroyed && found.is !== 'present') {
      add(this.removed, target)
      this.count += 1
    }
    return found.is === 'present'
  }
}

class Grounds {
  private readonly all = new Map<string, Retained>()

  add({ place: { name: place } }: Target, { ground, until }: { ground: string; until: string }): void {
    const name = JSON.stringify([place, ground, until])
    this.all.set(name, { place, ground, until, count: (this.all.get(name)?.count ?? 0) + 1 })
  }

  plain(): Retained[] {
    return [...this.all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, retained]) => retained)
  }
}

function add(counts: Record<string, number>, { place: { name } }: Target): void {
  counts[name] = (counts[name] ?? 0) + 1
}
