/** Deletes items by their keys, and says what became of each. */
import { BatchWriteItemCommand, type WriteRequest } from '@aws-sdk/client-dynamodb'
import { LetheError } from '../../../../base/errors/index.ts'
import { ask, pause, type Session } from './ask.ts'
import type { Item } from './find.ts'
import { idOf } from './lookups.ts'

/** What one BatchWriteItem takes at most. */
export const BATCH = 25

export interface Removal {
  removed: Item[]
  /** With DynamoDB's name for the reason. */
  refused: { item: Item; reason: string }[]
  /** Throttled for longer than we wait. */
  busy: Item[]
}

/**
 * At most BATCH items, each key once. A refusal is of a whole call: it is halved until only what is refused is left.
 * Throws E_STORE_UNAVAILABLE, or what the signal was aborted with.
 */
export async function removeItems(session: Session, items: readonly Item[]): Promise<Removal> {
  let waiting = items
  let idle = 0
  while (waiting.length > 0 && idle < session.patience.tries) {
    const left = await writeOnce(session, waiting)
    if ('failed' in left) return merge(done(items, waiting), await apart(session, waiting, left.failed))
    idle = left.items.length < waiting.length ? 0 : idle + 1
    waiting = left.items
    if (waiting.length > 0) await pause(session, idle + 1)
  }
  return { ...done(items, waiting), busy: [...waiting] }
}

/** What DynamoDB left undone, or why it did nothing. */
async function writeOnce(
  session: Session,
  items: readonly Item[],
): Promise<{ items: Item[] } | { failed: LetheError }> {
  const requests: Record<string, WriteRequest[]> = {}
  for (const { lookup, key } of items)
    (requests[lookup.schema.table] ??= []).push({ DeleteRequest: { Key: { ...key } } })
  try {
    const what = `BatchWriteItem of ${Object.keys(requests).map(tableWord).join(', ')}`
    const { UnprocessedItems = {} } = await ask(session, what, (client, options) =>
      client.send(new BatchWriteItemCommand({ RequestItems: requests }), options),
    )
    return { items: items.filter((item) => isUnprocessed(item, UnprocessedItems)) }
  } catch (error) {
    if (!(error instanceof LetheError) || error.code === 'E_STORE_UNAVAILABLE') throw error
    return { failed: error }
  }
}

async function apart(session: Session, items: readonly Item[], failed: LetheError): Promise<Removal> {
  if (failed.code === 'E_STORE_THROTTLED') return { removed: [], refused: [], busy: [...items] }
  const [only] = items
  if (items.length === 1 && only !== undefined)
    return { removed: [], refused: [{ item: only, reason: String(failed.facts['reason']) }], busy: [] }
  const half = Math.ceil(items.length / 2)
  const first = await removeItems(session, items.slice(0, half))
  return merge(first, await removeItems(session, items.slice(half)))
}

function isUnprocessed(item: Item, unprocessed: Readonly<Record<string, WriteRequest[]>>): boolean {
  const { table } = item.lookup.schema
  const names = Object.keys(item.key)
  const id = idOf([], names, item.key)
  return (unprocessed[table] ?? []).some(
    ({ DeleteRequest }) => DeleteRequest?.Key !== undefined && idOf([], names, DeleteRequest.Key) === id,
  )
}

function done(items: readonly Item[], waiting: readonly Item[]): Removal {
  const not = new Set(waiting)
  return { removed: items.filter((item) => !not.has(item)), refused: [], busy: [] }
}

function merge(one: Removal, other: Removal): Removal {
  return {
    removed: [...one.removed, ...other.removed],
    refused: [...one.refused, ...other.refused],
    busy: [...one.busy, ...other.busy],
  }
}

function tableWord(table: string): string {
  return `table ${table}`
}
