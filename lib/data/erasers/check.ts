/** Whether the stores fit what subjects ask of them. Finds everything; throws nothing. */
import { storeNamed, type Problem } from '../../base/settings/index.ts'
import { otherStore, type DataMap, type SubjectEntry } from '../datamap/index.ts'
import { kindOf } from './kinds.ts'

export function checkStores(map: DataMap): Problem[] {
  return Object.entries(map.subjects).flatMap(([name, subject]) => [
    ...subject.other_stores.flatMap((entry, index) =>
      checkOrigin(map, subject, otherStore(entry).store, ['subjects', name, 'other_stores', index]),
    ),
    ...subject.access.stores.flatMap((store, index) =>
      isToldOnly(map, store)
        ? [
            {
              path: ['subjects', name, 'access', 'stores', index],
              message: `${store} is a recipient: it is told once the erasure can't be taken back`,
            },
          ]
        : [],
    ),
  ])
}

/** A cache is filled from a store that this subject's erasure empties; from a cache it could wait for itself. */
function checkOrigin(map: DataMap, subject: SubjectEntry, store: string, path: PropertyKey[]): Problem[] {
  const origin = originOf(map, store)
  if (origin === undefined) return []
  if (origin !== subject.store && !subject.other_stores.some((entry) => otherStore(entry).store === origin))
    return [{ path, message: `${store} is filled from ${origin}, which is not among other_stores` }]
  return originOf(map, origin) === undefined
    ? []
    : [{ path, message: `${store} is filled from ${origin}, which is a cache itself` }]
}

function originOf(map: DataMap, store: string): string | undefined {
  const entry = storeNamed(map.stores, store)
  return entry === null ? undefined : kindOf(entry).filledFrom(entry)
}

function isToldOnly(map: DataMap, store: string): boolean {
  const entry = storeNamed(map.stores, store)
  return entry !== null && kindOf(entry).tells
}
