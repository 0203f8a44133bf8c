/** Calls of one PostHog project. https://posthog.com/docs/api */
import { z } from 'zod'
import { readAnswer } from '../answer.ts'
import { Answered, type HttpSide, type Side, requestVendor } from '../../../../base/calls/index.ts'

export interface PosthogOptions extends Pick<Side, 'store' | 'pace' | 'patience'> {
  /** `https://eu.posthog.com`, `https://us.posthog.com` or one's own. */
  url: string
  project: string
  /** A personal API key with `person:read`, `person:write` and `query:read`. */
  apiKey: string
}

/** POST for reading too: no identifier stands in an address. Throws as requestVendor does. */
export type Post = <T>(
  what: string,
  form: z.ZodType<T>,
  path: string,
  body: unknown,
  signal: AbortSignal,
) => Promise<T>

export function posthogClient({ store, url, project, apiKey, pace, patience }: PosthogOptions): Post {
  const side: HttpSide = {
    store,
    vendor: 'PostHog',
    pace,
    // A query over all events may take as long as PostHog lets it.
    patience: { deadlineMs: 70_000, ...patience },
    baseUrl: `${url.replace(/\/+$/, '')}/api/projects/${encodeURIComponent(project)}`,
    headers: { authorization: `Bearer ${apiKey}` },
    failed: (status, headers, body) =>
      new Answered(
        status,
        headers.get('retry-after'),
        z.object({ code: z.string() }).safeParse(body).data?.code,
      ),
  }
  return async (what, form, path, body, signal) =>
    readAnswer(
      side,
      what,
      form,
      (await requestVendor(side, what, { method: 'POST', path, body }, signal)).body,
    )
}

/**
 * Rows of a HogQL query, its `{values}` filled in by PostHog. Never a cached answer: that would show what is gone, or
 * hide what came back. https://posthog.com/docs/api/queries
 */
export async function query<T>(
  post: Post,
  what: string,
  row: z.ZodType<T>,
  hogql: string,
  values: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<T[]> {
  const body = { query: { kind: 'HogQLQuery', query: hogql, values }, refresh: 'force_blocking' }
  return (await post(what, z.object({ results: z.array(row) }), '/query/', body, signal)).results
}
