export type * from './eraser.ts'
export type { Pace } from './pace.ts'
export { openStore, type OpenedStore, type StoreTools } from './open.ts'
export { Counts, Findings, Grounds } from './findings.ts'
export {
  expand,
  isBounded,
  namesIn,
  ofNobody,
  partsOf,
  type Identified,
  type Identifiers,
} from './identifiers.ts'
export {
  cloudflareEraser,
  type CloudflareEraserOptions,
  type CloudflarePlan,
} from './processors/cloudflare/eraser.ts'
export {
  cloudfrontEraser,
  type CloudfrontEraserOptions,
  type CloudfrontPlan,
} from './processors/cloudfront/eraser.ts'
export { opendsrEraser, type OpendsrEraserOptions } from './processors/opendsr/eraser.ts'
export type { IdentityRule, OpendsrPlan } from './processors/opendsr/requests.ts'
export { webhookEraser, type WebhookEraserOptions, type WebhookPlan } from './processors/webhook/eraser.ts'
export type {
  Batch,
  BatchHooks,
  BatchOutcome,
  BatchRoot,
  Guard,
  RowCounts,
  Subject,
} from './stores/postgres/batch.ts'
export { runBatch } from './stores/postgres/execute.ts'
export { firstReason, fullGuard, mergedCondition, type FullGuard } from './stores/postgres/guard.ts'
export { holdsCondition, takeHoldLock } from './stores/postgres/holds.ts'
export { keptCondition, keptIsDue } from './stores/postgres/kept.ts'
export {
  nextRoots,
  populationStates,
  remainingRoots,
  type Pass,
  type PopulationRoot,
} from './stores/postgres/population.ts'
export {
  batchesAfter,
  raiseFence,
  readProgress,
  type Progress,
  type StoredTargetBatch,
} from './stores/postgres/progress.ts'
export {
  collectIdentifiers,
  findByIdentifier,
  type Collected,
  type Wanted,
} from './stores/postgres/identifiers.ts'
export { cutAccess, readAccess, restoreAccess, type SavedRow } from './stores/postgres/access.ts'
export { heldAmong } from './stores/postgres/held.ts'
export { expandSubjects, prepareSubjects } from './stores/postgres/subjects.ts'
export { drainPopulation, type DrainOptions, type DrainStep } from './stores/postgres/drain.ts'
export { rootKeyText, rootTable } from './stores/postgres/root-sql.ts'
export { postgresEraser, type PostgresEraserOptions } from './stores/postgres/eraser.ts'
export { readSignals, type Signals, type Window } from './stores/postgres/signals.ts'
export { batchSize, type BatchSize } from './stores/postgres/sizing.ts'
export {
  startThrottle,
  type Throttle,
  type ThrottleLimits,
  type Verdict,
} from './stores/postgres/throttle.ts'
export { tidy, type Tidied } from './stores/postgres/tidy.ts'
export { locateRows, verifyKeys, weighRoots } from './stores/postgres/verify.ts'
export { readBackErased, type ReadBack } from './stores/postgres/readback.ts'
export { s3Eraser, type S3Eraser } from './stores/s3/eraser.ts'
export type { S3Settings } from './stores/s3/client.ts'
export type { S3Place, S3Plan } from './stores/s3/plan.ts'
export { redisEraser } from './stores/redis/eraser.ts'
export type { RedisEraserSettings } from './stores/redis/nodes.ts'
export type { RedisPlace, RedisPlan } from './stores/redis/plan.ts'
export { dynamodbEraser, type DynamodbEraserOptions } from './stores/dynamodb/eraser.ts'
export type { DynamodbPlace, DynamodbPlan } from './stores/dynamodb/plan.ts'
export { keysEraser, type KeysEraserOptions } from './stores/keys/eraser.ts'
export type { KeyPlace, KeysPlan } from './stores/keys/plan.ts'
export { opensearchEraser } from './stores/opensearch/eraser.ts'
export type { OpensearchOptions } from './stores/opensearch/client.ts'
export type { OpensearchPlace, OpensearchPlan } from './stores/opensearch/plan.ts'
export { salesforceEraser } from './processors/salesforce/eraser.ts'
export type { SalesforceOptions } from './processors/salesforce/client.ts'
export type { SalesforceObject, SalesforcePlan } from './processors/salesforce/plan.ts'
export { supabaseEraser, type SupabasePlan } from './processors/supabase/eraser.ts'
export type { SupabaseOptions } from './processors/supabase/client.ts'
export { posthogEraser, type PosthogPlan } from './processors/posthog/eraser.ts'
export type { PosthogOptions } from './processors/posthog/client.ts'
export { sendgridEraser } from './processors/sendgrid/eraser.ts'
export type { SendgridEraserOptions, SendgridPlan, SuppressionKind } from './processors/sendgrid/plan.ts'
export { stripeEraser } from './processors/stripe/eraser.ts'
export type { StripeEraserOptions, StripePlan } from './processors/stripe/plan.ts'
