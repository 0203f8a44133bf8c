/** What is there for a list of targets, and what of it may go. */
import { LetheError } from '../../../../base/errors/index.ts'
import { abreast, slices } from '../../../../base/slices/index.ts'
import { Refusal, refusal, type S3Server } from '../../../../base/s3/index.ts'
import { LIST, uploadPages, uploadsTogether, versionPages, type Upload, type Version } from './list.ts'
import { lockOf, type Kept, type LockState } from './lock.ts'
import type { Target } from './plan.ts'

export type Item = Version | Upload

export type Finding =
  | { kind: 'free'; item: Item }
  | { kind: 'kept'; item: Item; kept: Kept }
  /** May be kept: nobody could look. */
  | { kind: 'unknown'; item: Item; code: string }
  /** The target could not be read: E_STORE_REFUSED, or an error that may pass. */
  | { kind: 'unread'; target: Target; error: LetheError }

/** Targets that are read at once, and locks that are asked for at once. */
export const AT_ONCE = 8

/** In the order of the targets; a target that can't be read doesn't hold up the others. */
export async function* survey(
  server: S3Server,
  targets: readonly Target[],
  locking: ReadonlySet<string>,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const uploads = await uploadsOf(server, targets, signal)
  for (const group of slices(targets, AT_ONCE)) {
    const readers = group.map((target) =>
      findings(server, target, uploads.get(target), locking.has(target.bucket), signal),
    )
    const firsts = readers.map((reader) => settled(reader))
    try {
      let away = false
      let answered = false
      for (const [place, target] of group.entries()) {
        let next = await firsts[place]
        while (next !== undefined && !('error' in next) && next.done !== true) {
          answered = true
          yield next.value
          next = await settled(readers[place])
        }
        if (next === undefined || !('error' in next)) answered = true
        else {
          const error = whyUnread(server, target, next.error)
          if (error.retryable) away = true
          else answered = true
          yield { kind: 'unread', target, error }
        }
      }
      // Asking the rest would only take as long again for each.
      if (away && !answered) return
    } finally {
      await Promise.all(firsts)
      await Promise.all(readers.map((reader) => reader.return(undefined)))
    }
  }
}

/** Of targets that share a bucket with others. A bucket that doesn't answer is left to each target, which says so. */
async function uploadsOf(
  server: S3Server,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<Map<Target, Upload[]>> {
  const found = new Map<Target, Upload[]>()
  const prefixes = targets.filter(({ exact }) => !exact)
  for (const [bucket, some] of Map.groupBy(prefixes, (target) => target.bucket)) {
    if (some.length === 1) continue
    const known = await uploadsTogether(server, bucket, some, signal).catch((error: unknown) => {
      if (error instanceof LetheError && error.retryable) return null
      throw error
    })
    for (const [target, uploads] of known ?? []) found.set(target, uploads)
  }
  return found
}

type Settled = IteratorResult<Finding, void> | { error: unknown }

async function settled(reader: AsyncGenerator<Finding, void> | undefined): Promise<Settled | undefined> {
  return reader?.next().catch((error: unknown) => ({ error }))
}

function whyUnread(server: S3Server, { bucket }: Target, error: unknown): LetheError {
  if (error instanceof Refusal) return refusal(server, bucket, LIST, error.code)
  if (error instanceof LetheError && error.retryable) return error
  throw error
}

/**
 * Uploads first: one that is ended meanwhile is then found as a version. A delete marker that hides a kept version stays
 * with it, as long: without it everybody could read that version again.
 */
async function* findings(
  server: S3Server,
  target: Target,
  uploads: readonly Upload[] | undefined,
  locks: boolean,
  signal: AbortSignal,
): AsyncGenerator<Finding, void> {
  if (uploads !== undefined) for (const item of uploads) yield { kind: 'free', item }
  else
    for await (const page of uploadPages(server, target, signal))
      for (const item of page) yield { kind: 'free', item }
  if (!locks) {
    for await (const page of versionPages(server, target, signal))
      for (const item of page) yield { kind: 'free', item }
    return
  }
  const hiding = new Map<string, Version>()
  const hidden = new Map<string, Finding>()
  for await (const page of versionPages(server, target, signal)) {
    const states = await locksOf(server, page, signal)
    for (const [place, item] of page.entries()) {
      if (item.marker && item.latest) hiding.set(item.key, item)
      else {
        const finding = judged(item, states[place] ?? 'free')
        if (finding.kind !== 'free' && !isLonger(hidden.get(item.key), finding)) hidden.set(item.key, finding)
        yield finding
      }
    }
  }
  for (const [key, item] of hiding) {
    const below = hidden.get(key)
    yield below === undefined ? { kind: 'free', item } : ({ ...below, item } as Finding)
  }
}

function judged(item: Version, state: LockState): Finding {
  if (state === 'free') return { kind: 'free', item }
  return 'kept' in state
    ? { kind: 'kept', item, kept: state.kept }
    : { kind: 'unknown', item, code: state.unknown }
}

/** Whether the first keeps its version at least as long: a hold and what nobody can see have no end. */
function isLonger(one: Finding | undefined, other: Finding): boolean {
  return one !== undefined && end(one) >= end(other)
}

function end(finding: Finding): number {
  if (finding.kind !== 'kept' || finding.kept.until === null) return Infinity
  return Date.parse(finding.kept.until)
}

async function locksOf(
  server: S3Server,
  page: readonly Version[],
  signal: AbortSignal,
): Promise<LockState[]> {
  return abreast(page, AT_ONCE, (version) => (version.marker ? 'free' : lockOf(server, version, signal)))
}
