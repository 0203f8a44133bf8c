/** The map as it is for a request of which classes of records stay. */
import type { DataMap } from '../datamap/index.ts'

/** By name: what is decided about a class of records, and why and until when it is retained. */
export type RecordClasses = Readonly<
  Record<
    string,
    { decision: 'erase' | 'retain' | 'ask'; ground?: string | undefined; until?: string | undefined }
  >
>

/** Classes that the policy retains, or that a person may decide to retain. */
export function retainableClasses(classes: RecordClasses): string[] {
  return Object.entries(classes).flatMap(([name, { decision }]) => (decision === 'erase' ? [] : [name]))
}

/** Tables of a retained class are kept with its ground and end, whatever the map would do with them otherwise. */
export function mapRetaining(map: DataMap, classes: RecordClasses, retained: readonly string[]): DataMap {
  if (retained.length === 0) return map
  const tables = Object.fromEntries(
    Object.entries(map.tables).map(([store, entries]) => [
      store,
      Object.fromEntries(
        Object.entries(entries).map(([table, entry]) => {
          const rule =
            entry.class !== undefined && retained.includes(entry.class) ? classes[entry.class] : undefined
          if (rule?.ground === undefined || rule.until === undefined || entry.action !== 'delete')
            return [table, entry]
          return [
            table,
            { ...entry, action: 'retain' as const, retain: { ground: rule.ground, until: rule.until } },
          ]
        }),
      ),
    ]),
  )
  return { ...map, tables }
}
