import type { SendgridPlan } from '../../lib/data/erasers/processors/sendgrid/plan.ts'
import { person, request } from '../support/stages/erasing.ts'
import { mailOf, openSendgridHouse } from '../support/stages/sendgrid-house.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

describeEraser('for SendGrid', async (): Promise<EraserFixture<SendgridPlan, 'settle'>> => {
  const { server, plan, eraser, addContact } = await openSendgridHouse()
  const id = ({ key: [id = ''] }: { key: readonly string[] }) => id
  return {
    eraser: eraser(),
    plan,
    stranger: person('stranger'),
    itemsEach: 1,
    reset: () => Promise.resolve(server.reset()),
    seed(count) {
      const ids = Array.from({ length: count }, (_, place) => `p${place + 1}`)
      for (const one of ids) addContact(one)
      return Promise.resolve(ids.map(person))
    },
    settle: () => Promise.resolve(server.settle()),
    request: (limit) => Promise.resolve(request(limit)),
    lieAbout: (subject) => Promise.resolve(void server.lies.add(`c-${id(subject)}`)),
    refuse(subject) {
      server.refused.add(`c-${id(subject)}`).add(mailOf(id(subject)))
      return Promise.resolve(() => Promise.resolve(server.refused.clear()))
    },
    close: () => server.close(),
  }
})
