/** What leads to the persons of requests, read while the rows that hold it are there. */
import type { Queryable } from '../../lib/db/index.ts'
import { collectIdentifiers, type Collected, type Identifiers } from '../../lib/erasers/index.ts'
import { sealSecrets, type ErasureRequest, type Secrets } from '../../lib/requests/index.ts'
import type { House } from './house.ts'
import { wantedOf } from './plans.ts'

export interface Opened {
  request: ErasureRequest
  secrets: Secrets
}

/** One finding a request, in their order. `db`: the subject's own store, or a transaction there. */
export async function collect(
  house: House,
  db: Queryable,
  opened: readonly Pick<Opened, 'secrets'>[],
): Promise<Collected[]> {
  return collectIdentifiers(
    db,
    await house.plan([]),
    opened.map(({ secrets }) => secrets.key),
    wantedOf(house.subject),
  )
}

/** `control`: whoever holds the requests' rows. */
export async function seal(house: House, control: Queryable, opened: readonly Opened[]): Promise<void> {
  await sealSecrets(
    control,
    house.context.vault,
    opened.map(({ request, secrets }) => ({ requestId: request.id, secrets })),
    house.context.config.file.erasure.keep_identifiers,
  )
}

/** Each value once. */
export function together(...all: readonly Identifiers[]): Record<string, string[]> {
  const names = [...new Set(all.flatMap((one) => Object.keys(one)))]
  return Object.fromEntries(
    names.map((name) => [name, [...new Set(all.flatMap((one) => one[name] ?? []))]] as const),
  )
}

/** The values of `before` that `after` has no more. */
export function lost(before: Identifiers, after: Identifiers): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(before).flatMap(([name, values]) => {
      const gone = values.filter((value) => after[name]?.includes(value) !== true)
      return gone.length === 0 ? [] : [[name, gone] as const]
    }),
  )
}
