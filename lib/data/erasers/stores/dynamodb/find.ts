/**
 * The items that lookups lead to. A table is read consistently. An index can't be: what it shows may have gone, or belong
 * to another by now, so the table is asked about each item, and what it doesn't confirm is a ghost.
 */
import {
  BatchGetItemCommand,
  QueryCommand,
  type AttributeValue,
  type KeysAndAttributes,
} from '@aws-sdk/client-dynamodb'
import { slices } from '../../../../base/slices/index.ts'
import { ask, pause, throttledError, type Session } from './ask.ts'
import { idOf, type Attributes, type Lookup } from './lookups.ts'
import { keysOf } from './schema.ts'

export interface Item {
  lookup: Lookup
  /** The table's own key. */
  key: Attributes
  id: string
  /** Id of the table's partition that it lies in. */
  partition: string
}

export interface Page {
  lookup: Lookup
  items: Item[]
  /** Entries of an index that the table doesn't confirm. */
  ghosts: number
  next: Record<string, AttributeValue> | undefined
}

/** BatchGetItem takes no more, so a page of an index is confirmed by one call. */
const PAGE = 100
const TOGETHER = 8

/** `next`: where to go on. A page may be empty and not the last. */
export async function readPage(session: Session, lookup: Lookup, next?: Page['next']): Promise<Page> {
  const { place, schema } = lookup
  const shown = [...schema.own.partition, ...schema.own.sort, ...comparedIn(lookup)]
  const names = aliases([...new Set([...shown, ...Object.keys(lookup.key)])])
  const conditions = Object.keys(lookup.key).map((name, at) => `${names.of(name)} = :v${at}`)
  const answer = await ask(session, `Query of table ${place.table}`, (client, options) =>
    client.send(
      new QueryCommand({
        TableName: place.table,
        ...(place.index === undefined ? { ConsistentRead: true } : { IndexName: place.index }),
        KeyConditionExpression: conditions.join(' AND '),
        ProjectionExpression: names.list(shown),
        ExpressionAttributeNames: names.map,
        ExpressionAttributeValues: Object.fromEntries(
          Object.values(lookup.key).map((value, at) => [`:v${at}`, value]),
        ),
        Limit: PAGE,
        ExclusiveStartKey: next,
      }),
      options,
    ),
  )
  const found = answer.Items ?? []
  const page = { lookup, next: answer.LastEvaluatedKey }
  if (place.index === undefined)
    return { ...page, items: found.map((item) => itemOf(lookup, item)), ghosts: 0 }
  const items = await confirm(session, lookup, found)
  return { ...page, items, ghosts: found.length - items.length }
}

type ReadPage = (lookup: Lookup, next?: Page['next']) => Promise<Page | null>

/** All items of all lookups, page by page; several first pages are read at once. `null` from `read` ends a lookup. */
export async function* findPages(lookups: readonly Lookup[], read: ReadPage): AsyncGenerator<Page> {
  for (const some of slices(lookups, TOGETHER)) {
    const first = await Promise.all(some.map((lookup) => read(lookup)))
    for (const [place, lookup] of some.entries()) {
      let page = first[place] ?? null
      while (page !== null) {
        yield page
        page = page.next === undefined ? null : await read(lookup, page.next)
      }
    }
  }
}

/** Those entries whose item is in the table and still has what the index says. */
async function confirm(session: Session, lookup: Lookup, entries: readonly Attributes[]): Promise<Item[]> {
  const { schema } = lookup
  const own = [...schema.own.partition, ...schema.own.sort]
  const compared = comparedIn(lookup)
  const fingerprint = (attributes: Attributes) => idOf([], [...own, ...compared], attributes)
  // An index that lags may show an item twice, and a key asked for twice is refused.
  const keys = new Map(entries.map((entry) => [idOf([], own, entry), pick(entry, own)]))
  const there = await readItems(session, schema.table, [...keys.values()], [...own, ...compared])
  const current = new Set(there.map(fingerprint))
  return entries.filter((entry) => current.has(fingerprint(entry))).map((entry) => itemOf(lookup, entry))
}

/** Asked of the table itself, consistently. At most 100 keys. */
export async function readItems(
  session: Session,
  table: string,
  keys: readonly Attributes[],
  shown: readonly string[],
): Promise<Attributes[]> {
  const what = `BatchGetItem of table ${table}`
  const names = aliases([...new Set(shown)])
  const items: Attributes[] = []
  let asked: KeysAndAttributes['Keys'] = keys.map((key) => ({ ...key }))
  let idle = 0
  while (asked !== undefined && asked.length > 0) {
    const request: KeysAndAttributes = {
      Keys: asked,
      ConsistentRead: true,
      ProjectionExpression: names.list(shown),
      ExpressionAttributeNames: names.map,
    }
    const answer = await ask(session, what, (client, options) =>
      client.send(new BatchGetItemCommand({ RequestItems: { [table]: request } }), options),
    )
    items.push(...(answer.Responses?.[table] ?? []))
    const left: KeysAndAttributes['Keys'] = answer.UnprocessedKeys?.[table]?.Keys ?? []
    idle = left.length < asked.length ? 0 : idle + 1
    if (idle >= session.patience.tries) throw throttledError(session, what)
    if (left.length > 0) await pause(session, idle + 1)
    asked = left
  }
  return items
}

/** What makes an entry of an index this subject's. */
function comparedIn({ place, schema }: Lookup): string[] {
  if (place.index === undefined) return []
  const keys = keysOf(place, schema)
  return [...(keys?.partition ?? []), ...(keys?.sort ?? [])]
}

function itemOf(lookup: Lookup, attributes: Attributes): Item {
  const { table, own } = lookup.schema
  const names = [...own.partition, ...own.sort]
  return {
    lookup,
    key: pick(attributes, names),
    id: idOf([table], names, attributes),
    partition: idOf([table], own.partition, attributes),
  }
}

function pick(attributes: Attributes, names: readonly string[]): Attributes {
  return Object.fromEntries(
    names.flatMap((name) => (attributes[name] === undefined ? [] : [[name, attributes[name]]])),
  )
}

/** Every name goes by an alias: many words are reserved, and a dot in a name would be a path. */
function aliases(names: readonly string[]) {
  const of = (name: string) => `#n${names.indexOf(name)}`
  return {
    of,
    list: (some: readonly string[]) => [...new Set(some)].map(of).join(', '),
    map: Object.fromEntries(names.map((name) => [of(name), name])),
  }
}
