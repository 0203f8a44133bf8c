/** How lethe.yaml names the bucket whose objects are locked. */
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
    access_key: secretSchema.optional(),
    secret_key: secretSchema.optional(),
    lock: periodSchema.default('6 years').describe('how long each object is locked in compliance mode'),
  })
  .refine(...together('access_key', 'secret_key'))
