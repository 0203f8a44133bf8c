/** Every kind of store. A new one has a folder of its own and its line here: README.md says how. */
import { z } from 'zod'
import type { StoreKind } from './define.ts'
import { cloudflare } from './processors/cloudflare/store.ts'
import { cloudfront } from './processors/cloudfront/store.ts'
import { opendsr } from './processors/opendsr/store.ts'
import { posthog } from './processors/posthog/store.ts'
import { recipient } from './processors/recipient/store.ts'
import { salesforce } from './processors/salesforce/store.ts'
import { sendgrid } from './processors/sendgrid/store.ts'
import { stripe } from './processors/stripe/store.ts'
import { supabase } from './processors/supabase/store.ts'
import { webhook } from './processors/webhook/store.ts'
import { declared } from './stores/declared/store.ts'
import { dynamodb } from './stores/dynamodb/store.ts'
import { keys } from './stores/keys/store.ts'
import { opensearch } from './stores/opensearch/store.ts'
import { postgres } from './stores/postgres/store.ts'
import { redis } from './stores/redis/store.ts'
import { s3 } from './stores/s3/store.ts'

const kinds = [
  postgres,
  s3,
  dynamodb,
  redis,
  opensearch,
  keys,
  declared,
  sendgrid,
  stripe,
  salesforce,
  supabase,
  posthog,
  cloudfront,
  cloudflare,
  opendsr,
  webhook,
  recipient,
] as const

type SchemasOf<T extends readonly { schema: unknown }[]> = { [I in keyof T]: T[I]['schema'] }

/** An entry of `stores` in lethe.yaml. */
export const storeSchema = z.discriminatedUnion(
  'kind',
  // the compiler forgets in `map` what stands at which place
  kinds.map(({ schema }) => schema) as unknown as SchemasOf<typeof kinds>,
)

export type StoreEntry = z.infer<typeof storeSchema>

const byName: ReadonlyMap<string, StoreKind> = new Map(kinds.map((kind) => [kind.kind, kind]))

/** Throws for a kind that `storeSchema` would have refused. */
export function kindOf(entry: { kind: string }): StoreKind {
  const kind = byName.get(entry.kind)
  if (kind === undefined) throw new Error(`there is no store of kind ${entry.kind}`)
  return kind
}

export function storeKinds(): readonly string[] {
  return [...byName.keys()]
}
