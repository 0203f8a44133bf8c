/**
 * lethe.yaml: the data map (stores, subjects, tables, accept) and how Lethe works on it (policies, identities,
 * notifications, operations). Unknown keys are errors. Addresses and secrets never stand in the file: `env:` or `file:`.
 */
import { z } from 'zod'
import { answersSchema } from '../people/answers/index.ts'
import {
  columnSchema,
  dataMapSchema,
  nameSchema,
  periodSchema,
  secretSchema,
  sqlSchema,
  tableSchema,
} from '../data/datamap/index.ts'

const roles = ['support', 'records', 'cto', 'auditor'] as const
const zone = z.string().min(1).describe('an IANA time zone name; default UTC')
const clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day, "22:30"')

const schedule = z.strictObject({
  cron: z.string().describe('five fields: minute hour day-of-month month day-of-week'),
  time_zone: zone.default('UTC'),
  catch_up: z
    .enum(['all', 'latest', 'none'])
    .default('latest')
    .describe('what happens to occurrences missed while nothing ran'),
})

const limits = z.strictObject({
  rows: z.number().int().positive().default(100_000).describe('rows in one run at most'),
  share: z.number().positive().max(1).default(0.05).describe('share of the root table at most'),
  median_multiple: z
    .number()
    .positive()
    .default(5)
    .describe('multiple of the median of the last ten runs at most'),
})

const throttle = z.strictObject({
  target_ms: z.number().int().min(10).max(5000).default(250).describe('duration a batch aims at'),
  max_rows: z.number().int().min(100).default(20_000).describe('rows in one batch at most'),
  rows_per_second: z.number().positive().optional().describe('ceiling; absent: none'),
  replica_lag_seconds: z.number().positive().default(10),
  slot_retention_mb: z.number().positive().default(4096),
  wal_mb_per_second: z.number().positive().optional(),
  lock_waiters: z
    .number()
    .int()
    .positive()
    .default(1)
    .describe('sessions waiting for a lock this worker holds'),
  long_transaction_seconds: z
    .number()
    .positive()
    .default(300)
    .describe('another transaction this old stops the sweep until it ends: it holds back vacuum'),
})

const policy = z
  .strictObject({
    subject: nameSchema.optional(),
    table: z
      .strictObject({ store: nameSchema, name: tableSchema, key: z.array(columnSchema).optional() })
      .optional(),
    when: z.enum(['soft-deleted', 'max-age', 'inactive']),
    clock: sqlSchema.describe(
      'SQL over the root row (alias root) giving a timestamptz, timestamp or date; null: never due',
    ),
    period: periodSchema.optional().describe('default: 30 days for soft-deleted, 7 years for inactive'),
    clamp: z
      .strictObject({
        minimum: z.strictObject({ period: periodSchema, source: z.string().min(3) }).optional(),
        maximum: z.strictObject({ period: periodSchema, source: z.string().min(3) }).optional(),
      })
      .default({}),
    unless: z
      .array(z.strictObject({ name: nameSchema, sql: sqlSchema }))
      .default([])
      .describe('conditions over the root row (alias root) under which it stays'),
    warnings: z
      .array(z.number().int().positive())
      .optional()
      .describe('days before; default [30, 7, 1] for inactive'),
    approval: z.enum(['required', 'standing']).default('required'),
    approver_role: z.enum(roles).default('records'),
    second_factor: z.boolean().default(false),
    records_class: z.string().min(3).describe('the class of records in words, as the appraisal names it'),
    schedule: schedule.optional().describe('absent: only by hand'),
    limits: limits.prefault({}),
    growth_tolerance: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe('rows found at execution above the approved count, as a share'),
    proposal_days: z
      .number()
      .int()
      .positive()
      .default(30)
      .describe('days until an undecided proposal expires'),
    window: z.strictObject({ from: clock, to: clock, time_zone: zone.default('UTC') }).optional(),
    throttle: throttle.prefault({}),
  })
  .superRefine((entry, context) => {
    if ((entry.subject === undefined) === (entry.table === undefined))
      context.addIssue({ code: 'custom', message: 'a policy names either a subject or a table' })
    if (entry.when === 'max-age' && entry.period === undefined)
      context.addIssue({ code: 'custom', path: ['period'], message: 'a maximum age needs a period' })
    if (entry.period !== undefined && /^0+ /.test(entry.period))
      context.addIssue({
        code: 'custom',
        path: ['period'],
        message: 'a period of 0 would erase what was deleted a second ago; the shortest is 1 day',
      })
  })

const identity = z.strictObject({
  roles: z.array(z.enum(roles)).min(1),
  ssh_keys: z.array(z.string().regex(/^(ssh-|ecdsa-|sk-)/, 'an OpenSSH public key line')).default([]),
  oidc_subjects: z.array(z.string()).default([]),
})

const notifications = z.strictObject({
  channel: z
    .enum(['log', 'webhook', 'smtp'])
    .default('log')
    .describe('log tells nobody: it does not count as delivered'),
  webhook: z.strictObject({ url: secretSchema, secret: secretSchema }).optional(),
  smtp: z.strictObject({ url: secretSchema, from: z.string() }).optional(),
  store: nameSchema
    .optional()
    .describe("the store that holds what this channel's processor knows: erased after the last answer"),
  subject_line: z.string().default('Your data will be deleted'),
  body: z
    .string()
    .default(
      'We have not seen you since {last_active}. Your data will be deleted on {due}. Sign in before then to keep it.',
    ),
})

const evidence = z.strictObject({
  origin: z
    .string()
    .regex(/^[^\s+\u2014]{1,200}$/u)
    .describe('name of the log; by custom an address without its scheme, example.org/lethe'),
  key: secretSchema
    .optional()
    .describe('an Ed25519 private key in PEM; default: made from the keystore and rotated with it'),
  keep: periodSchema
    .default('6 years')
    .describe('how long the contents of events are kept; their hashes stay for ever'),
  retention_url: secretSchema
    .optional()
    .describe(
      'the control database by a login that is a member of lethe_retention; without it no content ages out',
    ),
  bucket: z
    .strictObject({
      name: z.string(),
      region: z.string(),
      endpoint: z.url().optional().describe('of an S3 server that is not AWS'),
      prefix: z
        .string()
        .regex(/^([^/].*\/)?$/, 'empty, or a path that ends in a slash')
        .default(''),
      access_key: secretSchema.optional(),
      secret_key: secretSchema.optional(),
      lock: periodSchema.default('6 years').describe('how long each object is locked in compliance mode'),
    })
    .refine((entry) => (entry.access_key === undefined) === (entry.secret_key === undefined), {
      message: 'access_key and secret_key go together',
    })
    .optional(),
  witnesses: z
    .array(
      z.strictObject({
        url: z.url({ protocol: /^https?$/ }).describe('its submission prefix (C2SP tlog-witness)'),
        key: z
          .string()
          .regex(
            /^[^\s+\u2014]{1,255}\+[0-9a-f]{8}\+B[A-P][A-Za-z0-9+/]{42}$/u,
            'is no verifier key of a cosigner: NAME+ID+BASE64, type 4',
          )
          .describe('its verifier key, as the witness prints it'),
      }),
    )
    .default([])
    .describe('second parties that cosign each head'),
})

const link = z
  .string()
  .regex(/^https?:\/\/[^\s{}]+.*\{request\}.*\{token\}/, 'an address with {request} and {token} in it')
const erasure = z.strictObject({
  role: z
    .enum(['controller', 'processor'])
    .default('controller')
    .describe('a processor erases only on an instruction of the controller (Art. 28)'),
  grace: periodSchema.default('30 days').describe('of an account closure; a request under Art. 17 has none'),
  slowest_leg: periodSchema
    .default('7 days')
    .describe('what the slowest store needs of the month: no grace period runs into it'),
  keep_identifiers: periodSchema
    .default('60 days')
    .describe('how long what leads to a person is kept, sealed, while nothing is done about the request'),
  ceiling: z
    .number()
    .int()
    .positive()
    .default(100)
    .describe('requests of one actor in 24 hours that need no approval'),
  backups: z
    .record(nameSchema, z.number().int().positive())
    .default({})
    .describe('by store: days after which the last backup that holds an erased person has expired'),
  without: z
    .record(nameSchema, z.string().min(10))
    .default({})
    .describe(
      'stores that are not erased in for now, with the reason: the team answers for what stays there, and each receipt says so',
    ),
  unverified: z
    .record(nameSchema, z.string().min(10))
    .default({})
    .describe(
      'stores whose word is taken because nothing there can be read back, with the reason: each receipt says so; without an entry a person accepts every such leg by name',
    ),
  links: z
    .strictObject({ confirm: link.optional(), cancel: link.optional() })
    .default({})
    .describe('pages of your application that links in answers lead to; without them no link is sent'),
  answers: answersSchema.prefault({}).describe('who answers data subjects, and in which words'),
  classes: z
    .record(
      nameSchema,
      z
        .strictObject({
          decision: z
            .enum(['erase', 'retain', 'ask'])
            .describe('ask: a named person decides for each request'),
          ground: z.string().min(3).optional().describe('why the class is retained'),
          until: sqlSchema.optional().describe('SQL over the row (alias t): until when it is retained'),
        })
        .refine(
          (entry) => entry.decision === 'erase' || (entry.ground !== undefined && entry.until !== undefined),
          {
            message: 'a class that is or may be retained needs a ground and until',
          },
        ),
    )
    .default({})
    .describe('classes of records that tables belong to, and what becomes of them in an erasure request'),
})

const operations = z.strictObject({
  lease_seconds: z.number().int().min(5).default(60),
  give_back_seconds: z
    .number()
    .int()
    .positive()
    .default(300)
    .describe('a run gives its slot back after this long'),
  heartbeat_url: secretSchema
    .optional()
    .describe('called after each dispatcher round; its silence is an alert'),
  health_host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('address of /livez, /readyz and /metrics; LETHE_HEALTH_HOST beats it; 0.0.0.0 in a container'),
  health_port: z
    .number()
    .int()
    .min(0)
    .max(65535)
    .default(9464)
    .describe('LETHE_HEALTH_PORT beats it; 0: any free one, which the log names'),
  redis_prefix: z
    .string()
    .regex(/^\{[^{}]+\}$/, 'a cluster hash tag such as {lethe}')
    .default('{lethe}'),
  keystore: z.string().optional().describe('file of the embedded keystore; default LETHE_KEYSTORE'),
})

export const configSchema = z.strictObject({
  version: z.literal(1),
  ...dataMapSchema.shape,
  policies: z.record(nameSchema, policy).default({}),
  identities: z.record(nameSchema, identity).default({}),
  oidc: z
    .strictObject({
      issuer: z.url(),
      audience: z.string(),
      jwks_uri: z.url().optional(),
      max_age_seconds: z.number().int().positive().default(600),
      second_factor_amr: z.array(z.string()).default(['hwk', 'mfa']),
    })
    .optional(),
  evidence: evidence.optional(),
  erasure: erasure.prefault({}),
  notifications: notifications.prefault({}),
  operations: operations.prefault({}),
})

export type ConfigFile = z.infer<typeof configSchema>
export type PolicyEntry = z.infer<typeof policy>
export type ScheduleEntry = z.infer<typeof schedule>
export type ThrottleEntry = z.infer<typeof throttle>
export type LimitsEntry = z.infer<typeof limits>
export type IdentityEntry = z.infer<typeof identity>
export type ErasureEntry = z.infer<typeof erasure>
export type NotificationsEntry = z.infer<typeof notifications>
export type Role = (typeof roles)[number]
