/** Where buckets keep a subject's objects. */
import { LetheError } from '../../../../base/errors/index.ts'
import type { SubjectRef } from '../../eraser.ts'
import { expandFit, isBounded, namesIn, ofNobody } from '../../../datamap/index.ts'

/** All that begins with the prefix, or one key: `{ name: 'files', bucket: 'clinic-files', prefix: 'patients/{id}/' }`. */
export type S3Place =
  { name: string; bucket: string; prefix: string } | { name: string; bucket: string; key: string }

export interface S3Plan {
  places: readonly S3Place[]
}

/** One place of one subject. */
export interface Aim {
  /** Number of the subject in the call, from 0. */
  subject: number
  place: string
  bucket: string
  /** The prefix, or the key where `exact`. */
  text: string
  exact: boolean
}

/** What is listed: an aim, with all others that it covers, itself first. */
export interface Target extends Omit<Aim, 'subject'> {
  aims: readonly Aim[]
}

export interface Targets {
  targets: readonly Target[]
  /** Subjects with a value that can't stand in a key: what their other values lead to is among the targets. */
  astray: ReadonlyMap<number, LetheError>
}

/** Throws E_CONFIG for a template that would reach what belongs to somebody else. */
export function requireBounded(plan: S3Plan): void {
  for (const place of plan.places) {
    if ('prefix' in place && !isBounded(place.prefix))
      throw new LetheError('E_CONFIG', {
        message: `The prefix of place ${place.name} must hold a {name} and go on behind its last one: a prefix of patient 1 would also be one of patient 10.`,
        next: 'End the prefix with what follows the value in every key, as the slash in patients/{id}/.',
      })
    if ('key' in place && namesIn(place.key).length === 0)
      throw new LetheError('E_CONFIG', {
        message: `The key of place ${place.name} holds no {name}: it is the same object for every subject.`,
        next: 'Put what leads to the subject into the key, as in {document_key}.',
      })
  }
}

/** Each object is reached through one target only, however many aims lead to it. */
export function targetsOf(plan: S3Plan, subjects: readonly SubjectRef[]): Targets {
  const aims: Aim[] = []
  const astray = new Map<number, LetheError>()
  for (const [number, subject] of subjects.entries()) {
    const { own, stray } = aimsOf(plan, subject, number)
    aims.push(...own)
    if (stray !== null) astray.set(number, stray)
  }
  return { targets: covering(aims), astray }
}

/** One target a place, at which there is nothing: for a probe. */
export function targetsOfNobody(plan: S3Plan): readonly Target[] {
  const identifiers = ofNobody(plan.places.map(templateOf))
  return targetsOf(plan, [{ kind: 'nobody', key: [], identifiers }]).targets
}

/** The aims that an object is found by: one a subject. */
export function aimsAt({ aims }: Target, key: string): Aim[] {
  const bySubject = new Map<number, Aim>()
  for (const aim of aims)
    if (!bySubject.has(aim.subject) && (aim.exact ? key === aim.text : key.startsWith(aim.text)))
      bySubject.set(aim.subject, aim)
  return [...bySubject.values()]
}

function aimsOf(plan: S3Plan, subject: SubjectRef, number: number): { own: Aim[]; stray: LetheError | null } {
  let stray: LetheError | null = null
  const own = plan.places.flatMap((place) => {
    const { name, bucket } = place
    const exact = 'key' in place
    const found = expandFit(templateOf(place), subject.identifiers, isNoKey)
    stray ??= found.stray
    return found.texts.map((text) => ({ subject: number, place: name, bucket, text, exact }))
  })
  return { own, stray }
}

/** S3 takes control characters in keys, and a request's address carries them; it is only NUL that no server keeps. */
function isNoKey(value: string): boolean {
  return value === '' || value.includes('\0')
}

function templateOf(place: S3Place): string {
  return 'key' in place ? place.key : place.prefix
}

/** In order of text everything under a prefix comes right behind it. */
function covering(aims: readonly Aim[]): Target[] {
  const sorted = aims.toSorted(
    (a, b) => compare(a.bucket, b.bucket) || compare(a.text, b.text) || Number(a.exact) - Number(b.exact),
  )
  const targets: (Target & { aims: Aim[] })[] = []
  for (const aim of sorted) {
    const last = targets.at(-1)
    if (last !== undefined && covers(last, aim)) last.aims.push(aim)
    else {
      const { place, bucket, text, exact } = aim
      targets.push({ place, bucket, text, exact, aims: [aim] })
    }
  }
  return targets
}

function covers(target: Target, { bucket, text }: Aim): boolean {
  return target.bucket === bucket && (target.exact ? text === target.text : text.startsWith(target.text))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
