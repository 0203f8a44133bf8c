import type { StripePlan } from '../../lib/data/erasers/processors/stripe/plan.ts'
import { person, request } from '../support/stages/erasing.ts'
import { openStripeHouse } from '../support/stages/stripe-house.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

/** Customers that are deleted; redaction has its own tests, since its jobs end later than the suite waits. */
describeEraser('for Stripe', async (): Promise<EraserFixture<StripePlan>> => {
  const { server, byEmail, eraser, addCustomer } = await openStripeHouse()
  const id = ({ key: [id = ''] }: { key: readonly string[] }) => id
  return {
    eraser: eraser(),
    plan: byEmail,
    stranger: person('stranger'),
    itemsEach: 3,
    reset: () => Promise.resolve(server.reset()),
    seed(count) {
      const ids = Array.from({ length: count }, (_, place) => `p${place + 1}`)
      for (const one of ids)
        for (const part of ['', 'b', 'c']) addCustomer(`${one}${part}`, `${one}@example.org`)
      return Promise.resolve(ids.map(person))
    },
    request: (limit) => Promise.resolve(request(limit)),
    lieAbout: (subject) => Promise.resolve(void server.lies.add(`cus_${id(subject)}`)),
    refuse(subject) {
      server.refused.add(`cus_${id(subject)}`)
      return Promise.resolve(() => Promise.resolve(server.refused.clear()))
    },
    close: () => server.close(),
  }
})
