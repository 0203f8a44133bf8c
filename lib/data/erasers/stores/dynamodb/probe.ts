/** Whether later calls could work, asked with keys that nobody has. The right to delete can't be asked for by reading. */
import { ofNobody } from '../../../datamap/index.ts'
import type { Session } from './ask.ts'
import { readItems, readPage } from './find.ts'
import { lookupsOf, valueOf } from './lookups.ts'
import type { DynamodbPlan } from './plan.ts'
import type { Schemas } from './schema.ts'

/** Throws E_CONFIG for a place that doesn't fit its table, E_STORE_REFUSED, E_STORE_THROTTLED or E_STORE_UNAVAILABLE. */
export async function probe(session: Session, plan: DynamodbPlan, schemas: Schemas): Promise<void> {
  const identifiers = ofNobody(plan.places.flatMap(({ key }) => Object.values(key)))
  const [[value = ''] = []] = Object.values(identifiers)
  const nobody = { kind: 'nobody', key: [], identifiers }
  schemas.forget()
  const found = await lookupsOf([nobody], plan, schemas, session)
  for (const lookup of found.lookups) {
    const { place, schema } = lookup
    await readPage(session, lookup)
    if (place.index === undefined) continue
    const own = [...schema.own.partition, ...schema.own.sort]
    const key = own.map((name) => [name, valueOf(place, value, schema.types.get(name) ?? 'S')])
    await readItems(session, schema.table, [Object.fromEntries(key)], own)
  }
}
