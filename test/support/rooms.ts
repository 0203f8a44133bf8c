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
  'record/decisions': ['base/db', 'base/errors', 'base/keystore', 'record/evidence'],
  'record/erasures': [
    'base/bucket',
    'base/db',
    'base/errors',
    'base/keystore',
    'data/deletion',
    'record/evidence',
    'record/ledger',
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
  'record/holds': [
    'base/clock',
    'base/db',
    'base/errors',
    'base/keystore',
    'data/datamap',
    'data/rows',
    'record/decisions',
    'record/evidence',
  ],
  'record/ledger': ['base/calls', 'base/clock', 'base/db', 'base/errors', 'base/schedule', 'record/evidence'],
  'record/proposals': [
    'base/clock',
    'base/db',
    'base/errors',
    'base/schedule',
    'record/decisions',
    'record/evidence',
    'record/ledger',
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
    'record/decisions',
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

/**
 * The one room that names each of our tables and functions in SQL; others compose statements of what it exports. Grants
 * (`record/grants`) list the rights of all by name.
 */
export const owners: Readonly<Record<string, string>> = {
  // the control database
  'lethe_control.schedules': 'base/schedule',
  'lethe_control.occurrences': 'base/schedule',
  'lethe_control.runs': 'record/ledger',
  'lethe_control.steps': 'record/ledger',
  'lethe_control.batches': 'record/ledger',
  'lethe_control.leases': 'record/ledger',
  'lethe_control.workers': 'record/ledger',
  'lethe_control.probes': 'record/ledger',
  'lethe_control.paces': 'record/ledger',
  'lethe_control.erasures': 'record/erasures',
  'lethe_control.erasure_scopes': 'record/erasures',
  'lethe_control.ledger_objects': 'record/erasures',
  'lethe_control.ledger_head': 'record/erasures',
  'lethe_control.events': 'record/evidence',
  'lethe_control.evidence_log': 'record/evidence',
  'lethe_control.evidence_entries': 'record/evidence',
  'lethe_control.evidence_tiles': 'record/evidence',
  'lethe_control.evidence_checkpoints': 'record/evidence',
  'lethe_control.evidence_cosignatures': 'record/evidence',
  'lethe_control.refuse_change': 'record/evidence',
  'lethe_control.statements': 'record/decisions',
  'lethe_control.issuer_keys': 'record/decisions',
  'lethe_control.refuse_all_but_erasure': 'record/decisions',
  'lethe_control.holds': 'record/holds',
  'lethe_control.stops': 'record/holds',
  'lethe_control.policies': 'record/proposals',
  'lethe_control.refuse_used_statement': 'record/proposals',
  'lethe_control.disarm_policy': 'record/proposals',
  'lethe_control.proposals': 'record/proposals',
  'lethe_control.approvals': 'record/proposals',
  'lethe_control.approve_by_appraisal': 'record/proposals',
  'lethe_control.appraisals': 'record/proposals',
  'lethe_control.reports': 'record/proposals',
  'lethe_control.erasure_requests': 'record/requests',
  'lethe_control.erasure_legs': 'record/requests',
  'lethe_control.erasure_receipts': 'record/requests',
  'lethe_control.erasure_answers': 'record/requests',
  'lethe_control.erasure_joined': 'record/requests',
  'lethe_control.erasure_decisions': 'record/requests',
  // every target
  'lethe.progress': 'data/rows',
  'lethe.batches': 'data/rows',
  'lethe.population': 'data/rows',
  'lethe.holds': 'data/rows',
  'lethe.stops': 'data/rows',
  'lethe.warnings': 'data/rows',
  'lethe.kept_roots': 'data/rows',
  'lethe.exemptions': 'data/rows',
  'lethe.removing': 'data/rows',
  'lethe.intake': 'record/requests',
  'lethe.request_erasure': 'record/requests',
  'lethe.confirm_erasure': 'record/requests',
  'lethe.cancel_erasure': 'record/requests',
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
