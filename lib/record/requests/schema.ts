/** `erasure` of lethe.yaml: the terms of erasure requests, and what each store is answered for. */
import { z } from 'zod'
import { nameSchema, periodSchema, storeNamed, type Problem, type Stores } from '../../base/settings/index.ts'
import { sqlSchema } from '../../data/datamap/index.ts'

const link = z
  .string()
  .regex(/^https?:\/\/[^\s{}]+.*\{request\}.*\{token\}/, 'an address with {request} and {token} in it')
export const erasureSchema = z.strictObject({
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

export type ErasureEntry = z.infer<typeof erasureSchema>

export function checkErasure(erasure: ErasureEntry, stores: Stores): Problem[] {
  return (['without', 'unverified', 'backups'] as const).flatMap((key) =>
    Object.keys(erasure[key])
      .filter((store) => storeNamed(stores, store) === null)
      .map((store) => ({ path: ['erasure', key, store], message: `there is no store ${store}` })),
  )
}
