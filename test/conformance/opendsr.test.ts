import type { SubjectRef } from '../../lib/data/erasers/index.ts'
import { opendsrEraser } from '../../lib/data/erasers/processors/opendsr/eraser.ts'
import type { OpendsrPlan } from '../../lib/data/erasers/processors/opendsr/requests.ts'
import { freePace, people, person, knowing, type Known } from '../support/stages/erasing.ts'
import { authorization, startOpendsrProcessor } from '../support/vendors/opendsr-processor.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

describeEraser('for OpenDSR', async (): Promise<EraserFixture<Known<OpendsrPlan>, 'settle'>> => {
  const processor = await startOpendsrProcessor()
  const email = (subject: SubjectRef) => `p${subject.key[0]}@example.org`
  // A run that goes on asks under its ids; a test is a run.
  let run = 0
  return {
    eraser: knowing(
      opendsrEraser({
        store: 'insights',
        url: `${processor.url}/v3`,
        authorization,
        certificate: processor.publicKey,
        requestKey: 'secret of the tests',
        controllerId: 'controller-1',
        verifyUrl: `${processor.url}/profiles?email={email}`,
        allowPrivate: true,
        pace: freePace(),
      }),
    ),
    plan: {
      identities: [{ type: 'email', format: 'raw', from: 'email' }],
      identifiers: (subject) => (subject.key[0] === '999999' ? {} : { email: [email(subject)] }),
    },
    stranger: person(999_999),
    itemsEach: 1,
    reset() {
      processor.reset()
      run += 1
      return Promise.resolve()
    },
    seed(count) {
      const subjects = people(count)
      for (const subject of subjects) processor.profiles.add(email(subject))
      return Promise.resolve(subjects)
    },
    settle: () => Promise.resolve(processor.settle()),
    request: (limit) => Promise.resolve({ runId: `run-${run}`, fence: 1n, limit }),
    lieAbout(subject) {
      processor.lied.add(email(subject))
      return Promise.resolve()
    },
    refuse(subject) {
      processor.refused.add(email(subject))
      return Promise.resolve(() => Promise.resolve(void processor.refused.delete(email(subject))))
    },
    close: () => processor.close(),
  }
})
