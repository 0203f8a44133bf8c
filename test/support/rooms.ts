/**
 * The house as data: which room of `lib` may import which, and which package is imported where. The linter's rules
 * (`oxlint.config.ts`) and `test/unit/house.test.ts` both come from here; the test also fails for an entry that nothing uses.
 */

/** Each room of `lib`, and the rooms that it imports. A room is entered through its `index.ts` only. */
export const rooms: Readonly<Record<string, readonly string[]>> = {
  'base/bucket': ['base/errors', 'base/s3', 'base/settings'],
  'base/calls': ['base/canonical', 'base/clock', 'base/errors'],
  'base/canonical': [],
  'base/clock': [],
  'base/counts': [],
  'base/db': ['base/clock', 'base/errors'],
  'base/errors': [],
  'base/keystore': ['base/clock', 'base/errors'],
  'base/log': ['base/errors'],
  'base/metrics': [],
  'base/openbao': ['base/calls', 'base/clock', 'base/errors'],
  'base/queue': ['base/clock', 'base/errors'],
  'base/s3': ['base/calls', 'base/errors'],
  'base/schedule': ['base/clock', 'base/db', 'base/errors', 'base/settings'],
  'base/settings': [],
  'base/slices': [],
  'base/webhooks': ['base/errors'],
  'data/datamap': ['base/canonical', 'base/clock', 'base/errors', 'base/schedule', 'base/settings'],
  'data/deletion': ['base/canonical', 'base/errors', 'data/datamap'],
  'data/erasers': [
    'base/calls',
    'base/canonical',
    'base/clock',
    'base/counts',
    'base/db',
    'base/errors',
    'base/openbao',
    'base/s3',
    'base/settings',
    'base/slices',
    'base/webhooks',
    'data/datamap',
    'data/deletion',
    'data/rows',
  ],
  'data/rows': [
    'base/clock',
    'base/counts',
    'base/db',
    'base/errors',
    'base/slices',
    'data/datamap',
    'data/deletion',
  ],
  'record/evidence': [
    'base/bucket',
    'base/canonical',
    'base/clock',
    'base/db',
    'base/errors',
    'base/keystore',
    'base/settings',
  ],
  'record/grants': ['base/db', 'base/errors', 'data/datamap', 'data/deletion', 'record/evidence'],
  'record/ledger': [
    'base/calls',
    'base/canonical',
    'base/clock',
    'base/db',
    'base/errors',
    'base/schedule',
    'people/identity',
    'record/evidence',
  ],
  'record/receipt': ['base/canonical', 'base/counts', 'base/errors', 'record/evidence'],
  'record/requests': [
    'base/canonical',
    'base/clock',
    'base/db',
    'base/errors',
    'base/keystore',
    'base/settings',
    'data/datamap',
    'record/evidence',
    'record/ledger',
  ],
  'people/answers': ['base/errors', 'base/schedule'],
  'people/identity': ['base/canonical', 'base/clock', 'base/errors', 'base/settings'],
  'people/notify': ['base/clock', 'base/errors', 'base/log', 'base/settings', 'base/webhooks'],
  config: [
    'base/bucket',
    'base/canonical',
    'base/errors',
    'base/schedule',
    'base/settings',
    'data/datamap',
    'data/erasers',
    'people/answers',
    'people/identity',
    'people/notify',
    'record/evidence',
    'record/requests',
  ],
}

/** A package, or the packages below a name that ends in `/`, and the only places that import it. */
export const packages: Readonly<Record<string, readonly string[]>> = {
  '@aws-sdk/client-cloudfront': ['lib/data/erasers/processors/cloudfront'],
  '@aws-sdk/client-dynamodb': ['lib/data/erasers/stores/dynamodb'],
  '@aws-sdk/client-kms': ['lib/data/erasers/stores/keys'],
  '@aws-sdk/client-s3': ['lib/base/s3', 'lib/base/bucket', 'lib/data/erasers/stores/s3'],
  '@sendgrid/client': ['lib/data/erasers/processors/sendgrid'],
  '@supabase/auth-js': ['lib/data/erasers/processors/supabase'],
  bullmq: ['lib/base/queue'],
  canonicalize: ['lib/base/canonical'],
  cloudflare: ['lib/data/erasers/processors/cloudflare'],
  commander: ['workers/cli', 'workers/cli.ts'],
  croner: ['lib/base/schedule'],
  ioredis: ['lib/data/erasers/stores/redis', 'lib/base/queue'],
  jose: ['lib/people/identity'],
  'node-cron': ['workers/dispatcher.ts'],
  'node-pg-migrate': ['lib/base/db'],
  nodemailer: ['lib/people/notify'],
  pino: ['lib/base/log'],
  'prom-client': ['lib/base/metrics'],
  stripe: ['lib/data/erasers/processors/stripe'],
}

/** The room that a path from the root lies in, `lib/base/db` for instance; undefined outside `lib`, and for what is in no room. */
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
