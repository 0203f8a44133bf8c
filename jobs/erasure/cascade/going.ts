/** Who goes: from which places, under which plan, and by which keys. */
import type { RootKey } from '../../../lib/data/deletion/index.ts'
import { isOfOneRow } from '../../../lib/base/db/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import {
  moveRequests,
  openSecrets,
  postpone,
  type ErasureRequest,
} from '../../../lib/record/requests/index.ts'
import { erasesAt, type House } from './house.ts'
import type { Leaving } from '../../../lib/record/erasures/index.ts'
import { leaving } from './ledger.ts'

/** Who goes from which place, under which plan; where nothing is erased, no entry is needed. */
export async function goingOf(house: House, requests: readonly ErasureRequest[]): Promise<Leaving[]> {
  const going: Leaving[] = []
  for (const [variant, some] of Map.groupBy(requests, variantOf)) {
    const plan = await house.plan(classesIn(variant))
    for (const { store } of house.places.filter(erasesAt)) {
      const subjects = some.flatMap((request) => keysOf(house, request))
      if (subjects.length > 0) going.push(leaving(house.claim, store, plan, subjects))
    }
  }
  return going
}

export function keysOf({ context }: House, request: ErasureRequest): RootKey[] {
  if (request.sealed === null) return []
  const secrets = openSecrets(context.keystore, request)
  return secrets.keys ?? [secrets.key]
}

export function variantOf(request: ErasureRequest): string {
  return (request.retainedClasses ?? []).join(' ')
}

export function classesIn(variant: string): string[] {
  return variant === '' ? [] : variant.split(' ')
}

export function mover(house: House) {
  return { actor: 'lethe', claim: house.claim }
}

export function ids(requests: readonly ErasureRequest[]): string[] {
  return requests.map(({ id }) => id)
}

/**
 * Those whose secrets this worker's keystore opens. One that was sealed with another keystore's key, such as by a command with
 * the wrong file, comes before a person and holds up nobody else.
 */
export async function readable(house: House, requests: readonly ErasureRequest[]): Promise<ErasureRequest[]> {
  const { control, keystore } = house.context
  const opens = ({ sealedKeyId: key }: ErasureRequest) => key === null || keystore.knows(key)
  const strange = requests.filter((request) => !opens(request))
  if (strange.length === 0) return [...requests]
  for (const [key, some] of Map.groupBy(strange, ({ sealedKeyId }) => sealedKeyId ?? '')) {
    const waitingFor = `unknown-key:${key}`
    await moveRequests(control, 'attend', ids(some), mover(house), { next: `'infinity'`, waitingFor })
    // one on hold stays so
    const held = some.filter(({ state }) => state === 'on-hold')
    await postpone(control, ids(held), house.claim, `'infinity'`, waitingFor)
  }
  return requests.filter((request) => !strange.includes(request))
}

/** A row was locked or refused; what is wrong with the statement, the rights or the server is so for all. */
export function isOfOne(error: unknown): error is LetheError {
  return isOfOneRow(error) || (error instanceof LetheError && error.code === 'E_LOCK_TIMEOUT')
}
