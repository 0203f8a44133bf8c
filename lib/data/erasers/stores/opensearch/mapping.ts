/** Whether a place's field finds exactly what it is asked for, in each index behind its name. */
import { z } from 'zod'
import { LetheError } from '../../../../base/errors/index.ts'
import type { Client } from './client.ts'
import type { Field, OpensearchPlace, OpensearchPlan } from './plan.ts'

interface Node {
  type?: string | undefined
  index?: boolean | undefined
  normalizer?: string | undefined
  ignore_above?: number | undefined
  properties?: Record<string, Node> | undefined
  fields?: Record<string, Node> | undefined
}

const node: z.ZodType<Node> = z.lazy(() =>
  z.looseObject({
    type: z.string().optional(),
    index: z.boolean().optional(),
    normalizer: z.string().optional(),
    ignore_above: z.number().optional(),
    properties: z.record(z.string(), node).optional(),
    fields: z.record(z.string(), node).optional(),
  }),
)
const mappings = z.record(z.string(), z.looseObject({ mappings: node }))
const aliases = z.record(
  z.string(),
  z.looseObject({
    aliases: z.record(
      z.string(),
      z.looseObject({ filter: z.unknown().optional(), search_routing: z.string().optional() }),
    ),
  }),
)

/** Bytes that Lucene takes of one value; each UTF-16 unit has three at most. */
const LONGEST = Math.floor(32_766 / 3)

/** Throws E_CONFIG for a field that is analysed, normalised, nested, unindexed or missing: a search would find others, or nobody. */
export async function readFields(
  client: Client,
  plan: OpensearchPlan,
  signal: AbortSignal,
): Promise<Field[]> {
  const fields: Field[] = []
  for (const place of plan.places) fields.push(await readField(client, place, signal))
  return fields
}

async function readField(client: Client, place: OpensearchPlace, signal: AbortSignal): Promise<Field> {
  const what = 'read the mapping of an index'
  const { body } = await client.ask(what, { method: 'GET', path: `/${place.index}/_mapping` }, signal)
  const found = mappings.safeParse(body)
  if (!found.success) throw client.unreadable(what)
  const indices = Object.keys(found.data)
  if (!indices.includes(place.index)) await requireWholeAlias(client, place, signal)
  let longest = LONGEST
  for (const [index, { mappings }] of Object.entries(found.data)) {
    const fault = faultOf(mappings, place.field.split('.'))
    if (typeof fault === 'string') throw unfit(client, place, `in index ${index} ${fault}`)
    longest = Math.min(longest, fault.longest)
  }
  if (indices.length === 0) throw unfit(client, place, 'no index is behind its name')
  return { place, indices, longest }
}

/** An alias with a filter or a routing shows some of the documents only. */
async function requireWholeAlias(client: Client, place: OpensearchPlace, signal: AbortSignal): Promise<void> {
  const what = 'read an alias'
  const request = { method: 'GET', path: `/_alias/${place.index}`, expects: [404] } as const
  const { status, body } = await client.ask(what, request, signal)
  // A data stream is no alias.
  if (status === 404) return
  const found = aliases.safeParse(body)
  if (!found.success) throw client.unreadable(what)
  for (const { aliases } of Object.values(found.data))
    for (const { filter, search_routing: routing } of Object.values(aliases))
      if (filter !== undefined || routing !== undefined)
        throw unfit(client, place, 'its alias has a filter or a routing, and hides documents')
}

function faultOf(root: Node, path: readonly string[]): string | { longest: number } {
  let at = root
  for (const part of path) {
    const next = at.properties?.[part] ?? at.fields?.[part]
    if (next === undefined) return 'the field is not mapped'
    if (next.type === 'nested') return 'the field is in a nested document, where it is not found'
    at = next
  }
  if (at.type !== 'keyword') return `the field is of type ${at.type ?? 'object'}, not keyword`
  if (at.index === false) return 'the field is not indexed'
  if (at.normalizer !== undefined) return 'the field is normalised, and finds what is spelled otherwise'
  return { longest: at.ignore_above ?? LONGEST }
}

function unfit({ store }: Client, { name }: OpensearchPlace, fault: string): LetheError {
  return new LetheError('E_CONFIG', {
    message: `Place ${name} of store ${store} can't be used: ${fault}.`,
    next: 'Name a field of type keyword that holds the value as it is, and reindex where there is none.',
    facts: { store, place: name },
  })
}
