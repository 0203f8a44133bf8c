/** `operations` of lethe.yaml: how processes work together and how they are watched. */
import { z } from 'zod'
import { secretSchema } from '../base/settings/index.ts'

export const operationsSchema = z.strictObject({
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
