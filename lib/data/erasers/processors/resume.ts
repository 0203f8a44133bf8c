/**
 * A pending job, and where to go on once it has ended. A call does a bounded part of its subjects, and what its jobs
 * delete may still be seen for a while: without the place, a part whose job failed would be taken again for ever.
 */
import { z } from 'zod'

export interface Started {
  /** What runs: one of the vendor's kinds of job. */
  kind: string
  /** The vendor's own id. */
  id: string
  /** How much of the subjects had its turn, this job's part included; absent: all. */
  from?: number
}

const spelled = /^([a-z]+):([A-Za-z0-9_.-]{1,128})(?:\+(\d{1,9}))?$/

/** `erasure:12a975bd-c742-4713-8f47-cb3ae4e56c74`, with `+100` where more of the subjects waits. */
export function writeJob({ kind, id, from }: Started): string {
  return `${kind}:${id}${from === undefined ? '' : `+${from}`}`
}

/** Null for what we never wrote. */
export function readJob(job: string): Started | null {
  const [, kind, id, from] = spelled.exec(job) ?? []
  if (kind === undefined || id === undefined) return null
  return { kind, id, ...(from === undefined ? {} : { from: Number(from) }) }
}

/** A vendor's id, parsed as the only kind that `readJob` gives back: nothing else gets into a path. */
export const jobId = z.string().regex(/^[A-Za-z0-9_.-]{1,128}$/)
