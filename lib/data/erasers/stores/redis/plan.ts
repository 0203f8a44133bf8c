/** What leads to a subject in Redis, and what no plan may name. */
import { LetheError } from '../../../../base/errors/index.ts'
import { namesIn } from '../../../datamap/index.ts'
import { scanTemplate, type ScanTemplate } from './template.ts'

/** One kind of item. `name` stands in counts and messages: it never holds an identity. */
export type RedisPlace =
  /** A key of its own: `session:{session_id}`. */
  | { name: string; key: string }
  /** Every key of this form, where `*` stands for anything: `user:{id}:*`. */
  | { name: string; scan: string }
  /** A member of a set or sorted set, a field of a hash, or all equal elements of a list: typed by what the key is. */
  | { name: string; member: { key: string; value: string } }

export interface RedisPlan {
  places: readonly RedisPlace[]
}

export function templatesOf(place: RedisPlace): string[] {
  if ('member' in place) return [place.member.key, place.member.value]
  return ['key' in place ? place.key : place.scan]
}

export interface CheckedPlace {
  name: string
  key?: string
  scan?: ScanTemplate
  member?: { key: string; value: string }
}

/** Throws E_CONFIG for a place that isn't of one subject alone, or that reaches for Lethe's own keys. */
export function checkPlaces(places: readonly RedisPlace[], own: string): CheckedPlace[] {
  return places.map((place) => {
    const refuse = (why: string) => {
      throw new LetheError('E_CONFIG', { message: `Place ${place.name} ${why}.` })
    }
    const key = 'key' in place ? place.key : 'scan' in place ? place.scan : place.member.key
    if (key.startsWith(own)) refuse("names Lethe's own keys")
    if ('scan' in place) return { name: place.name, scan: scanTemplate(place.scan, refuse) }
    if (namesIn('key' in place ? place.key : place.member.value).length === 0)
      refuse('holds no placeholder: it would be the same for every subject')
    return place
  })
}
