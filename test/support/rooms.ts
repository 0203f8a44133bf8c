/**
 * The house as data: which room of `lib` may import which, and which package is imported where. The linter's rules
 * (`oxlint.config.ts`) and `test/unit/house.test.ts` both come from here; the test also fails for an entry that nothing uses.
 */

/** Each room of `lib`, and the rooms that it imports. A room is entered through its `index.ts` only. */
export const rooms: Readonly<Record<string, readonly string[]>> = {
  answers: ['errors', 'schedule'],
  bucket: ['errors'],
  canonical: [],
  clock: [],
  config: ['answers', 'canonical', 'datamap', 'errors', 'schedule'],
  counts: [],
  datamap: ['canonical', 'errors'],
  db: ['clock', 'errors'],
  erasers: ['canonical', 'clock', 'counts', 'datamap', 'db', 'errors', 'webhooks'],
  errors: [],
  evidence: ['bucket', 'canonical', 'clock', 'db', 'errors', 'grants', 'vault'],
  grants: ['datamap', 'db', 'errors'],
  identity: ['canonical', 'clock', 'config', 'errors'],
  ledger: ['canonical', 'clock', 'db', 'errors', 'evidence', 'identity'],
  log: ['errors'],
  metrics: [],
  notify: ['clock', 'config', 'errors', 'log', 'webhooks'],
  queue: ['clock', 'errors'],
  receipt: ['canonical', 'counts', 'errors', 'evidence'],
  requests: ['canonical', 'clock', 'db', 'errors', 'evidence', 'ledger', 'vault'],
  schedule: ['clock', 'db', 'errors', 'evidence'],
  vault: ['clock', 'errors'],
  webhooks: ['errors'],
}

/** A package, or the packages below a name that ends in `/`, and the only places that import it. */
export const packages: Readonly<Record<string, readonly string[]>> = {
  '@aws-sdk/client-cloudfront': ['lib/erasers/processors/cloudfront'],
  '@aws-sdk/client-dynamodb': ['lib/erasers/stores/dynamodb'],
  '@aws-sdk/client-kms': ['lib/erasers/stores/keys'],
  '@aws-sdk/client-s3': ['lib/bucket', 'lib/erasers/stores/s3'],
  '@sendgrid/client': ['lib/erasers/processors/sendgrid'],
  '@supabase/auth-js': ['lib/erasers/processors/supabase'],
  bullmq: ['lib/queue'],
  canonicalize: ['lib/canonical'],
  cloudflare: ['lib/erasers/processors/cloudflare'],
  commander: ['workers/cli', 'workers/cli.ts'],
  croner: ['lib/schedule'],
  ioredis: ['lib/erasers/stores/redis', 'lib/queue'],
  jose: ['lib/identity'],
  'node-cron': ['workers/dispatcher.ts'],
  'node-pg-migrate': ['lib/db'],
  nodemailer: ['lib/notify'],
  pino: ['lib/log'],
  'prom-client': ['lib/metrics'],
  stripe: ['lib/erasers/processors/stripe'],
}

/** The room that a path from the root lies in, `lib/db` for instance; undefined outside `lib`, and for what is in no room. */
export function roomOf(path: string): string | undefined {
  return Object.keys(rooms)
    .map((name) => `lib/${name}`)
    .find((room) => path === room || path.startsWith(`${room}/`))
}

/** The paths outside its own room or folder that a file of `folder` may import; `*` stands for one name. */
export function mayImport(folder: string): string[] {
  const entrances = (names: readonly string[]) => names.map((name) => `lib/${name}/index.ts`)
  const room = roomOf(folder)
  if (room !== undefined) return entrances(rooms[room.slice('lib/'.length)] ?? [])
  const lib = entrances(Object.keys(rooms))
  if (folder.startsWith('workers'))
    return [...lib, 'jobs/*.ts', 'jobs/*/index.ts', 'workers/*.ts', 'workers/*/*.ts']
  // a job knows no other job
  return folder === 'jobs' ? [...lib, 'jobs/*/index.ts'] : [...lib, 'jobs/*.ts']
}

export const topFolders = ['workers', 'jobs', 'lib', 'runbooks', 'test', 'examples', 'findings', 'compliance']
