import { randomUUID } from 'node:crypto'
import type { SubjectRef } from '../../lib/data/erasers/index.ts'
import { posthogEraser, type PosthogPlan } from '../../lib/data/erasers/processors/posthog/eraser.ts'
import { freePace, person, knowing, type Known } from '../support/stages/erasing.ts'
import { startPosthog } from '../support/vendors/posthog.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

/** Each subject a person with events, found by distinct id and by address. Every day is a weekend. */
describeEraser('for PostHog', async (): Promise<EraserFixture<Known<PosthogPlan>>> => {
  const posthog = await startPosthog()
  const { url, apiKey } = posthog
  const uuidOf = ({ key: [id = ''] }: SubjectRef) =>
    posthog.persons.find(({ distinctIds }) => distinctIds.includes(`user-${id}`))?.uuid ?? ''
  return {
    eraser: knowing(posthogEraser({ store: 'analytics', url, project: '7', apiKey, pace: freePace() })),
    plan: {
      distinctId: 'id',
      email: 'email',
      identifiers: ({ key: [id = ''] }) => ({ id: [`user-${id}`], email: [`person.${id}@example.org`] }),
    },
    itemsEach: 1,
    stranger: person(999_999),
    reset: async () => posthog.empty(),
    seed: async (count) =>
      Array.from({ length: count }, (_, place) => {
        posthog.add([`user-${place}`, `device-${place}`], `Person.${place}@example.org`, 2)
        return person(place)
      }),
    request: async (limit) => ({ runId: randomUUID(), fence: 1n, limit }),
    lieAbout: async (subject) => {
      posthog.lies.add(uuidOf(subject))
    },
    async refuse(subject) {
      posthog.refused.add(uuidOf(subject))
      return async () => posthog.refused.clear()
    },
    close: () => posthog.close(),
  }
})
