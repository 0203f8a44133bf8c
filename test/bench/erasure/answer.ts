/**
 * What hand-written code would have to know: every row that goes, by its key, and every row that changes, with what it is
 * then. Found by comparing the clinic before with the clinic after an erasure.
 */
import { withClient } from '../dataset.ts'

export interface TableAnswer {
  table: string
  key: { name: string; type: string }[]
  /** Keys of rows that go. */
  gone: string[][]
  /** Columns that change in rows that stay, and those rows as JSON. */
  columns: string[]
  changed: Record<string, unknown>[]
}

/** In an order in which foreign keys let rows go. */
export type Answer = readonly TableAnswer[]

/** Half of a cycle: an episode names its current referral, each referral its episode. */
const nullFirst = 'public.episodes(current_referral_id)'

type Rows = Map<string, { key: string[]; row: Record<string, unknown>; text: string }>

export async function findAnswer(beforeUrl: string, afterUrl: string): Promise<Answer> {
  const tables = await inOrder(beforeUrl)
  const answers: TableAnswer[] = []
  for (const { table, key } of tables) {
    const before = await readRows(beforeUrl, table, key)
    const after = await readRows(afterUrl, table, key)
    const gone = [...before].filter(([id]) => !after.has(id)).map(([, { key }]) => key)
    const pairs = [...before].flatMap(([id, was]) => {
      const is = after.get(id)
      return is === undefined || is.text === was.text ? [] : [{ was: was.row, is: is.row }]
    })
    const columns = new Set(
      pairs.flatMap(({ was, is }) =>
        Object.keys(is).filter((name) => JSON.stringify(is[name]) !== JSON.stringify(was[name])),
      ),
    )
    const named = [...key.map(({ name }) => name), ...columns]
    const changed = pairs.map(({ is }) => Object.fromEntries(named.map((name) => [name, is[name]])))
    if (gone.length + changed.length > 0) answers.push({ table, key, gone, columns: [...columns], changed })
  }
  return answers
}

/** What the second did not say already. */
export function without(answer: Answer, known: Answer): Answer {
  return answer.map((entry) => {
    const same = known.find(({ table }) => table === entry.table)
    const gone = new Set(same?.gone.map((key) => JSON.stringify(key)))
    const changed = new Set(same?.changed.map((row) => JSON.stringify(row)))
    return {
      ...entry,
      gone: entry.gone.filter((key) => !gone.has(JSON.stringify(key))),
      changed: entry.changed.filter((row) => !changed.has(JSON.stringify(row))),
    }
  })
}

async function readRows(url: string, table: string, key: TableAnswer['key']): Promise<Rows> {
  const id = key.map(({ name }) => `t.${quoted(name)}::text`).join(', ')
  const found = await withClient(url, (client) =>
    client.query<{ key: string[]; row: Record<string, unknown> }>(
      `SELECT ARRAY[${id}] AS key, to_jsonb(t) AS row FROM ${table} t`,
    ),
  )
  return new Map(
    found.rows.map(({ key, row }) => [JSON.stringify(key), { key, row, text: JSON.stringify(row) }]),
  )
}

/** Tables of the clinic with their primary keys; whoever points comes before what it points at. */
async function inOrder(url: string): Promise<{ table: string; key: TableAnswer['key'] }[]> {
  const tables = await withClient(url, (client) =>
    client.query<{ table: string; key: TableAnswer['key'] }>(
      `SELECT format('%I.%I', n.nspname, c.relname) AS table,
         json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) ORDER BY k.ord) AS key
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary,
         LATERAL unnest(i.indkey) WITH ORDINALITY AS k(num, ord) JOIN pg_attribute a ON a.attnum = k.num
       WHERE a.attrelid = c.oid AND n.nspname IN ('public', 'billing') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       GROUP BY 1`,
    ),
  )
  const points = await withClient(url, (client) =>
    client.query<{ from: string; to: string }>(
      `SELECT DISTINCT f.name AS from, t.name AS to FROM pg_constraint k,
         LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.oid = k.conrelid) AS f,
         LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.oid = k.confrelid) AS t
       WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
         AND f.name || '(' || (SELECT string_agg(a.attname, ', ') FROM pg_attribute a
           WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) || ')' <> $1`,
      [nullFirst],
    ),
  )
  const open = new Map(tables.rows.map((entry) => [entry.table, entry]))
  const ordered: { table: string; key: TableAnswer['key'] }[] = []
  while (open.size > 0) {
    const free = [...open.keys()].filter(
      (name) => !points.rows.some(({ from, to }) => to === name && open.has(from)),
    )
    if (free.length === 0) throw new Error(`a circle among ${[...open.keys()].join(', ')}`)
    for (const name of free) {
      const entry = open.get(name)
      if (entry !== undefined) ordered.push(entry)
      open.delete(name)
    }
  }
  return ordered
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
