/** The calls of CloudFront that we use, in our own words. https://docs.aws.amazon.com/cloudfront/latest/APIReference */
import {
  CloudFrontClient,
  CloudFrontServiceException,
  CreateInvalidationCommand,
  GetInvalidationCommand,
  ListInvalidationsCommand,
} from '@aws-sdk/client-cloudfront'
import { z } from 'zod'
import { Answered, type Side, callVendor } from '../../../../base/calls/index.ts'

export interface CloudfrontAccess {
  distribution: string
  region: string
  endpoint?: string
  credentials?: { accessKeyId: string; secretAccessKey: string }
}

export interface Invalidation {
  id: string
  completed: boolean
  paths: readonly string[]
}

/** All throw as callVendor. */
export interface CloudfrontApi {
  /** The same reference and paths again make nothing new: the first one's state is the answer. */
  create(reference: string, paths: readonly string[], signal: AbortSignal): Promise<Invalidation>
  /** Null: the distribution knows no such invalidation. */
  get(id: string, signal: AbortSignal): Promise<Invalidation | null>
  /** Ids of completed ones, the newest first. */
  completed(most: number, signal: AbortSignal): Promise<string[]>
}

const invalidation = z
  .object({
    Invalidation: z.object({
      Id: z.string().regex(/^\w{1,64}$/),
      Status: z.string(),
      InvalidationBatch: z.object({ Paths: z.object({ Items: z.array(z.string()).optional() }) }),
    }),
  })
  .transform(({ Invalidation: { Id, Status, InvalidationBatch } }) => ({
    id: Id,
    completed: Status === 'Completed',
    paths: InvalidationBatch.Paths.Items ?? [],
  }))

const list = z.object({
  InvalidationList: z.object({
    Items: z.array(z.object({ Id: z.string(), Status: z.string() })).optional(),
  }),
})

/** 3,000 paths, 15 of them with a wildcard, may be in progress; it takes minutes until there is room again. */
const ROOM_SECONDS = '120'
const full = new Set(['TooManyInvalidationsInProgress'])
const throttled = new Set([
  'Throttling',
  'ThrottlingException',
  'RequestLimitExceeded',
  'TooManyRequestsException',
])

export function openCloudfront(side: Side, { distribution, ...access }: CloudfrontAccess): CloudfrontApi {
  // We try again ourselves.
  const client = new CloudFrontClient({ ...access, maxAttempts: 1 })

  async function ask<T>(
    what: string,
    schema: z.ZodType<T>,
    send: (options: { abortSignal: AbortSignal }) => Promise<unknown>,
    signal: AbortSignal,
  ): Promise<T> {
    return callVendor(
      side,
      what,
      async (abortSignal) => {
        const answer = await send({ abortSignal }).catch((error: unknown) => {
          throw answeredOf(error)
        })
        const parsed = schema.safeParse(answer)
        if (!parsed.success) throw new Answered(502, null, 'strange-answer')
        return parsed.data
      },
      signal,
    )
  }

  return {
    async create(reference, paths, signal) {
      const batch = { CallerReference: reference, Paths: { Quantity: paths.length, Items: [...paths] } }
      const command = new CreateInvalidationCommand({
        DistributionId: distribution,
        InvalidationBatch: batch,
      })
      return ask('invalidate paths', invalidation, (options) => client.send(command, options), signal)
    },
    async get(id, signal) {
      const command = new GetInvalidationCommand({ DistributionId: distribution, Id: id })
      const send = async (options: { abortSignal: AbortSignal }) => {
        try {
          return { found: await client.send(command, options) }
        } catch (error) {
          if (error instanceof CloudFrontServiceException && error.name === 'NoSuchInvalidation')
            return { found: null }
          throw error
        }
      }
      const schema = z.object({ found: invalidation.nullable() })
      return (await ask('look at an invalidation', schema, send, signal)).found
    },
    async completed(most, signal) {
      const command = new ListInvalidationsCommand({ DistributionId: distribution, MaxItems: most })
      const found = await ask('list invalidations', list, (options) => client.send(command, options), signal)
      const items = found.InvalidationList.Items ?? []
      return items.filter(({ Status }) => Status === 'Completed').map(({ Id }) => Id)
    },
  }
}

/** Without its message: it quotes paths. */
function answeredOf(error: unknown): unknown {
  if (!(error instanceof CloudFrontServiceException)) return error
  const { name } = error
  if (full.has(name)) return new Answered(429, ROOM_SECONDS, name)
  if (throttled.has(name)) return new Answered(429, null, name)
  const retryAfter = error.$response?.headers['retry-after'] ?? null
  return new Answered(error.$metadata.httpStatusCode ?? 500, retryAfter, name)
}
