/** An eraser on the small SendGrid: subjects `p1`, `p2`… with one address each. */
import { type EraseRequest, type Eraser, type Pace, type SubjectRef } from '../../lib/erasers/index.ts'
import { sendgridEraser } from '../../lib/erasers/processors/sendgrid/eraser.ts'
import type { SendgridEraserOptions, SendgridPlan } from '../../lib/erasers/processors/sendgrid/plan.ts'
import { startSendgrid, type SendgridServer } from './sendgrid.ts'

export interface SendgridHouse {
  server: SendgridServer
  eraser: (options?: Partial<SendgridEraserOptions>) => Eraser<SendgridPlan>
  plan: SendgridPlan
  addContact: (id: string, alternates?: string[]) => void
}

export const never = new AbortController().signal
export const person = (id: string): SubjectRef => ({ kind: 'person', key: [id] })
export const mailOf = (id: string) => `${id}@example.org`
export const request = (limit = 1000, jobs?: readonly string[]): EraseRequest => ({
  runId: '00000000-0000-0000-0000-000000000001',
  fence: 1n,
  limit,
  ...(jobs === undefined ? {} : { jobs }),
})

/** No limit, and notes what it was told to wait. */
export function openPace(): Pace & { rests: number[] } {
  const rests: number[] = []
  return {
    rests,
    turn: () => Promise.resolve(),
    rest: (seconds) => {
      rests.push(seconds)
      return Promise.resolve()
    },
  }
}

export async function openSendgridHouse(): Promise<SendgridHouse> {
  const server = await startSendgrid()
  return {
    server,
    eraser: (options = {}) =>
      sendgridEraser({
        name: 'mailing',
        apiKey: 'SG.of-the-tests',
        pace: openPace(),
        baseUrl: server.baseUrl,
        patience: { deadlineMs: 2000, attempts: 1 },
        ...options,
      }),
    plan: { email: 'email', identifiers: ({ key: [id = ''] }) => ({ email: [mailOf(id)] }) },
    addContact(id, alternates = []) {
      server.contacts.push({ id: `c-${id}`, email: mailOf(id), alternate_emails: alternates })
    },
  }
}
