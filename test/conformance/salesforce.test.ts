import { randomUUID } from 'node:crypto'
import type { SubjectRef } from '../../lib/data/erasers/index.ts'
import { salesforceEraser } from '../../lib/data/erasers/processors/salesforce/eraser.ts'
import type { SalesforcePlan } from '../../lib/data/erasers/processors/salesforce/plan.ts'
import { freePace, people, person, knowing, type Known } from '../support/stages/erasing.ts'
import { startSalesforce } from '../support/vendors/salesforce.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

describeEraser('for Salesforce', async (): Promise<EraserFixture<Known<SalesforcePlan>, 'retain'>> => {
  const salesforce = await startSalesforce()
  const { url, clientId, clientSecret } = salesforce
  const email = (subject: SubjectRef) => `person.${subject.key[0]}@example.org`
  const contactOf = (subject: SubjectRef) =>
    salesforce.records.find(({ type, fields }) => type === 'Contact' && fields['Email'] === email(subject))
      ?.id ?? ''
  return {
    eraser: knowing(salesforceEraser({ store: 'crm', url, clientId, clientSecret, pace: freePace() })),
    plan: {
      objects: [
        { name: 'Case', where: { 'Contact.Email': 'email', SuppliedEmail: 'email' } },
        { name: 'Contact', where: { Email: 'email' } },
      ],
      identifiers: (subject) => ({ email: [email(subject)] }),
    },
    stranger: person(999_999),
    reset: async () => salesforce.empty(),
    async seed(count) {
      const subjects = people(count)
      for (const one of subjects) {
        salesforce.add('Contact', { Email: email(one) })
        salesforce.add('Case', { 'Contact.Email': email(one), SuppliedEmail: null })
        salesforce.add('Case', { 'Contact.Email': email(one), SuppliedEmail: email(one) })
      }
      return subjects
    },
    request: async (limit) => ({ runId: randomUUID(), fence: 1n, limit }),
    lieAbout: async (subject) => {
      salesforce.lies.add(contactOf(subject))
    },
    async refuse(subject) {
      salesforce.refusals.set(contactOf(subject), 'DELETE_FAILED')
      return async () => salesforce.refusals.clear()
    },
    // Whatever is deleted stays in the recycle bin.
    retain: async () => undefined,
    close: () => salesforce.close(),
  }
})
