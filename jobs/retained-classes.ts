/** The map as it is for a request of which classes of records stay. */
import type { Config } from '../lib/config/index.ts'
import type { DataMap } from '../lib/data/datamap/index.ts'

/** Classes that the policy retains, or that a person may decide to retain. */
export function retainableClasses({ erasure }: Config['file']): string[] {
  return Object.entries(erasure.classes).flatMap(([name, { decision }]) =>
    decision === 'erase' ? [] : [name],
  )
}

/** Tables of a retained class are kept with its ground and end, whatever the map would do with them otherwise. */
export function mapRetaining(file: Config['file'], retained: readonly string[]): DataMap {
  if (retained.length === 0) return file
  const tables = Object.fromEntries(
    Object.entries(file.tables).map(([store, entries]) => [
      store,
      Object.fromEntries(
        Object.entries(entries).map(([table, entry]) => {
          const rule =
            entry.class !== undefined && retained.includes(entry.class)
              ? file.erasure.classes[entry.class]
              : undefined
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
  return { ...file, tables }
}
