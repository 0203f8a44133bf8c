import { randomUUID } from 'node:crypto'
import type { SubjectRef } from '../../lib/data/erasers/index.ts'
import { supabaseEraser, type SupabasePlan } from '../../lib/data/erasers/processors/supabase/eraser.ts'
import { freePace, knowing, type Known } from '../support/stages/erasing.ts'
import { startSupabase } from '../support/vendors/supabase.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

/** Each subject a user, found `by` its id or its address. */
const fixture = (by: 'id' | 'email') => async (): Promise<EraserFixture<Known<SupabasePlan>>> => {
  const supabase = await startSupabase()
  const { url, secretKey } = supabase
  const person = (id: string, email: string): SubjectRef => ({
    kind: 'person',
    key: [id, email],
    identifiers: {},
  })
  const idOf = ({ key }: SubjectRef) => key[0] ?? ''
  return {
    eraser: knowing(supabaseEraser({ store: 'auth', url, secretKey, pace: freePace() })),
    plan: {
      ...(by === 'id' ? { user: 'id' } : { email: 'email' }),
      identifiers: ({ key: [id = '', email = ''] }) => ({ id: [id], email: [email] }),
    },
    itemsEach: 1,
    stranger: person(randomUUID(), 'nobody@example.org'),
    reset: async () => supabase.empty(),
    seed: async (count) =>
      Array.from({ length: count }, (_, place) => {
        const email = `person.${place}@example.org`
        return person(supabase.add(email), email)
      }),
    request: async (limit) => ({ runId: randomUUID(), fence: 1n, limit }),
    lieAbout: async (subject) => {
      supabase.lies.add(idOf(subject))
    },
    async refuse(subject) {
      supabase.referred.add(idOf(subject))
      return async () => supabase.referred.clear()
    },
    close: () => supabase.close(),
  }
}

describeEraser('for Supabase Auth, by id', fixture('id'))
describeEraser('for Supabase Auth, by address', fixture('email'))
