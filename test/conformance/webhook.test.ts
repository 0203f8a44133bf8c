import type { SubjectRef } from '../../lib/data/erasers/index.ts'
import { webhookEraser, type WebhookPlan } from '../../lib/data/erasers/processors/webhook/eraser.ts'
import { freePace, people, person, knowing, type Known } from '../support/stages/erasing.ts'
import { startWebhookProcessor } from '../support/vendors/webhook-processor.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

/** `slow`: it works on after its answer. */
async function open(slow: boolean) {
  const processor = await startWebhookProcessor()
  const email = (subject: SubjectRef) => `p${subject.key[0]}@example.org`
  const stranger = person(999_999)
  const fixture: EraserFixture<Known<WebhookPlan>, 'retain'> = {
    eraser: knowing(
      webhookEraser({
        store: 'letters',
        url: processor.url,
        secret: processor.secret,
        allowPrivate: true,
        pace: freePace(),
      }),
    ),
    plan: {
      sends: ['email'],
      places: ['letters', 'invoices'],
      identifiers: (subject) => ({ email: [email(subject)], name: ['not sent'] }),
    },
    stranger,
    reset() {
      processor.reset()
      processor.slow = slow
      return Promise.resolve()
    },
    seed(count) {
      const subjects = people(count)
      for (const subject of subjects) processor.letters.set(email(subject), 3)
      return Promise.resolve(subjects)
    },
    request: (limit) => Promise.resolve({ runId: 'run-1', fence: 1n, limit }),
    lieAbout(subject) {
      processor.slow = false
      processor.lied.add(email(subject))
      return Promise.resolve()
    },
    refuse(subject) {
      processor.slow = false
      processor.refused.add(email(subject))
      return Promise.resolve(() => Promise.resolve(void processor.refused.delete(email(subject))))
    },
    retain(subject) {
      processor.slow = false
      processor.invoices.add(email(subject))
      return Promise.resolve()
    },
    close: () => processor.close(),
  }
  return { processor, fixture }
}

describeEraser('for a processor of our own', async () => (await open(false)).fixture)
describeEraser(
  'for a processor of our own that works on after its answer',
  async (): Promise<EraserFixture<Known<WebhookPlan>, 'settle' | 'retain'>> => {
    const { processor, fixture } = await open(true)
    return { ...fixture, settle: () => Promise.resolve(processor.settle()) }
  },
)
