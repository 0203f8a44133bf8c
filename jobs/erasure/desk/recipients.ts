/** Those the data was disclosed to: they are told of the erasure, and stand apart from the places that were erased. */
import type { Leg } from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'

export function isRecipient({ kind }: Pick<Leg, 'kind'>): boolean {
  return kind === 'recipient'
}

/** Whom the erasure was passed on to (Art. 19), by the name that the map gives them; `told` null: not reached, and a person accepted that. */
export function recipientsOf(
  { config }: Pick<Context, 'config'>,
  legs: readonly Leg[],
): { name: string; told: Date | null }[] {
  return legs
    .filter((leg) => isRecipient(leg) && leg.state !== 'not-needed')
    .map((leg) => {
      const entry = config.file.stores[leg.store]
      const name = entry?.kind === 'recipient' ? entry.name_in_receipt : undefined
      return { name: name ?? leg.store, told: leg.state === 'told' ? leg.acceptedAt : null }
    })
}
