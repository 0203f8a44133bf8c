/** An eraser on the small SendGrid: subjects `p1`, `p2`… with one address each. */
import type { Eraser } from '../../../lib/data/erasers/index.ts'
import { sendgridEraser } from '../../../lib/data/erasers/processors/sendgrid/eraser.ts'
import type {
  SendgridEraserOptions,
  SendgridPlan,
} from '../../../lib/data/erasers/processors/sendgrid/plan.ts'
import { freePace, knowing, type Known } from './erasing.ts'
import { startSendgrid, type SendgridServer } from '../vendors/sendgrid.ts'

export interface SendgridHouse {
  server: SendgridServer
  eraser: (options?: Partial<SendgridEraserOptions>) => Eraser<Known<SendgridPlan>>
  plan: Known<SendgridPlan>
  addContact: (id: string, alternates?: string[]) => void
}

export const mailOf = (id: string) => `${id}@example.org`
export async function openSendgridHouse(): Promise<SendgridHouse> {
  const server = await startSendgrid()
  return {
    server,
    eraser: (options = {}) =>
      knowing(
        sendgridEraser({
          store: 'mailing',
          apiKey: 'SG.of-the-tests',
          pace: freePace(),
          baseUrl: server.url,
          patience: { deadlineMs: 2000, attempts: 1 },
          ...options,
        }),
      ),
    plan: { email: 'email', identifiers: ({ key: [id = ''] }) => ({ email: [mailOf(id)] }) },
    addContact(id, alternates = []) {
      server.contacts.push({ id: `c-${id}`, email: mailOf(id), alternate_emails: alternates })
    },
  }
}
