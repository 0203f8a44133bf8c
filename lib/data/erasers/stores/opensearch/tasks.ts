/**
 * Deletions as tasks of the cluster's. https://docs.opensearch.org/latest/api-reference/document-apis/delete-by-query/
 *
 * A task works on a snapshot: what changes meanwhile is a version conflict, left for the next round. It stores its result,
 * without the query, in the index `.tasks`.
 */
import { z } from 'zod'
import { monotonicMs, sleep } from '../../../../base/clock/index.ts'
import type { Client } from './client.ts'
import type { Piece } from './count.ts'

export type Ended =
  | { is: 'running' }
  /** The node that ran it is gone, and no result was stored. */
  | { is: 'lost' }
  | { is: 'ended'; place: string; deleted: number; conflicts: number; faults: readonly string[] }

const started = z.looseObject({ task: z.string().regex(/^[\w-]+:\d+$/) })
const fault = z.looseObject({
  status: z.number().optional(),
  cause: z.looseObject({ type: z.string() }).optional(),
  reason: z.looseObject({ type: z.string() }).optional(),
})
const result = z.looseObject({
  completed: z.boolean(),
  task: z.looseObject({ headers: z.record(z.string(), z.string()).optional() }),
  error: z.looseObject({ type: z.string() }).optional(),
  response: z
    .looseObject({
      deleted: z.number().int().default(0),
      version_conflicts: z.number().int().default(0),
      timed_out: z.boolean().default(false),
      failures: z.array(fault).default([]),
    })
    .optional(),
})

/** Documents that are read and deleted together; the throttle waits between two such batches. */
const BATCH = 500
const MARK = 'lethe-'

/** The id of the task; `most` in documents. */
export async function startDeletion(
  client: Client,
  { place, index, query }: Piece,
  most: number,
  perSecond: number,
  signal: AbortSignal,
): Promise<string> {
  const settings = new URLSearchParams({
    conflicts: 'proceed',
    wait_for_completion: 'false',
    refresh: 'true',
    requests_per_second: String(perSecond),
    max_docs: String(most),
    scroll_size: String(Math.min(most, BATCH)),
  })
  return start(
    client,
    'delete documents',
    `/${index}/_delete_by_query?${settings.toString()}`,
    place,
    signal,
    {
      query,
    },
  )
}

/** Rewrites the segments of which a tenth or more is deleted, but for what the index keeps as its history. */
export async function startExpunging(client: Client, index: string, signal: AbortSignal): Promise<string> {
  const path = `/${index}/_forcemerge?only_expunge_deletes=true&wait_for_completion=false`
  return start(client, 'expunge deleted documents', path, 'segments', signal)
}

async function start(
  client: Client,
  what: string,
  path: string,
  place: string,
  signal: AbortSignal,
  body?: object,
): Promise<string> {
  // The mark comes back with the task, whoever looks at it.
  const headers = { 'x-opaque-id': `${MARK}${place}` }
  const request = { method: 'POST', path, headers, ...(body === undefined ? {} : { body }) } as const
  const answer = started.safeParse((await client.ask(what, request, signal)).body)
  if (!answer.success) throw client.unreadable(what)
  return answer.data.task
}

/** Looks at tasks until all have ended or the time is over. */
export async function awaitTasks(
  client: Client,
  jobs: readonly string[],
  waitSeconds: number,
  signal: AbortSignal,
): Promise<Map<string, Ended>> {
  const until = monotonicMs() + waitSeconds * 1000
  const found = new Map<string, Ended>()
  for (let ms = 20; ; ms = Math.min(1000, ms * 2)) {
    for (const job of jobs)
      if ((found.get(job)?.is ?? 'running') === 'running') found.set(job, await look(client, job, signal))
    const running = [...found.values()].some(({ is }) => is === 'running')
    if (!running || monotonicMs() + ms > until) return found
    await sleep(ms, signal).catch(() => signal.throwIfAborted())
  }
}

async function look(client: Client, job: string, signal: AbortSignal): Promise<Ended> {
  const what = 'look at a task'
  const request = { method: 'GET', path: `/_tasks/${encodeURIComponent(job)}`, expects: [404] } as const
  const { status, body } = await client.ask(what, request, signal)
  if (status === 404) return { is: 'lost' }
  const answer = result.safeParse(body)
  if (!answer.success) throw client.unreadable(what)
  const { completed, task, response, error } = answer.data
  if (!completed) return { is: 'running' }
  const mark = task.headers?.['X-Opaque-Id'] ?? ''
  const faults = (response?.failures ?? []).map(({ status, cause, reason }) =>
    [status, wordOf(cause?.type ?? reason?.type)].filter((part) => part !== undefined).join(' '),
  )
  if (error !== undefined) faults.push(wordOf(error.type))
  if (response?.timed_out === true) faults.push('timed out')
  return {
    is: 'ended',
    place: mark.startsWith(MARK) ? mark.slice(MARK.length) : 'documents',
    deleted: response?.deleted ?? 0,
    conflicts: response?.version_conflicts ?? 0,
    faults,
  }
}

/** The server's own word for what went wrong; its sentences have ids of documents in them. */
function wordOf(type: string | undefined): string {
  return type !== undefined && /^[\w.]{1,80}$/.test(type) ? type : 'failed'
}
