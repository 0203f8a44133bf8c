/** `policies` of lethe.yaml: what is deleted when, who approves it, and what bounds it. */
import { z } from 'zod'
import { nameSchema, periodSchema } from '../base/settings/index.ts'
import { columnSchema, sqlSchema, tableSchema } from '../data/datamap/index.ts'
import { roles } from '../people/identity/index.ts'

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

export const policySchema = z
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
    second_factor: z
      .boolean()
      .default(false)
      .describe('whoever arms it, approves, or appraises for it needs a second factor'),
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

export type PolicyEntry = z.infer<typeof policySchema>
export type ScheduleEntry = z.infer<typeof schedule>
export type ThrottleEntry = z.infer<typeof throttle>
export type LimitsEntry = z.infer<typeof limits>
