/** `locked_bucket` of lethe.yaml: what is written there nobody can change, such as signed heads and the erasure ledger. */
import { z } from 'zod'
import { periodSchema, secretSchema, together } from '../settings/index.ts'

export const bucketSchema = z
  .strictObject({
    name: z.string(),
    region: z.string(),
    endpoint: z.url().optional().describe('of an S3 server that is not AWS'),
    prefix: z
      .string()
      .regex(/^([^/].*\/)?$/, 'empty, or a path that ends in a slash')
      .default(''),
    access_key_id: secretSchema.optional(),
    secret_access_key: secretSchema.optional(),
    lock: periodSchema.default('6 years').describe('how long each object is locked in compliance mode'),
  })
  .refine(...together('access_key_id', 'secret_access_key'))
  .describe('made with Object Lock: carries the evidence log and the copies of the erasure ledger')
