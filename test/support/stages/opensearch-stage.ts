/** Indices and documents for the tests of the eraser for OpenSearch. */
import type { SubjectRef } from '../../../lib/data/erasers/index.ts'
import type { OpensearchPlan } from '../../../lib/data/erasers/stores/opensearch/plan.ts'
import { idOf, type Known } from './erasing.ts'
import type { OpensearchServer } from '../servers/opensearch.ts'

/** Visits of each person by id, in two indices behind one alias; mails by address. */
export const opensearchPlan: Known<OpensearchPlan> = {
  places: [
    { name: 'visits', index: 'visits', field: 'patient.id', value: '{id}' },
    { name: 'mails', index: 'mails', field: 'to', value: '{email}' },
  ],
  identifiers: (subject) => ({ id: [idOf(subject)], email: [addressOf(subject)] }),
}

const addressOf = (subject: SubjectRef) => `person-${idOf(subject)}@example.org`

/** Deletes what is there and makes `visits-1`, `visits-2` (alias `visits`) and `mails`. */
export async function makeIndices(server: OpensearchServer): Promise<void> {
  await server.ask('DELETE', '/visits-1,visits-2,mails?ignore_unavailable=true')
  const settings = { number_of_shards: 2, number_of_replicas: 0 }
  const keyword = { type: 'keyword' }
  const visits = { properties: { patient: { properties: { id: keyword } } } }
  for (const index of ['visits-1', 'visits-2'])
    await server.ask('PUT', `/${index}`, { settings, mappings: visits, aliases: { visits: {} } })
  await server.ask('PUT', '/mails', {
    settings,
    mappings: { properties: { to: { type: 'keyword', ignore_above: 64 }, text: { type: 'text' } } },
  })
}

/** Four documents each: two visits in `visits-1`, routed elsewhere than by their id, and two mails. */
export async function addPeople(server: OpensearchServer, subjects: readonly SubjectRef[]): Promise<void> {
  for (const subject of subjects) {
    const id = idOf(subject)
    for (const turn of [1, 2]) {
      await server.ask('PUT', `/visits-1/_doc/${id}-${turn}?routing=${turn}`, { patient: { id } })
      await server.ask('PUT', `/mails/_doc/${id}-${turn}`, { to: addressOf(subject), text: 'hello' })
    }
  }
}

/** One visit in `visits-2`. */
export async function addVisit(server: OpensearchServer, subject: SubjectRef): Promise<void> {
  await server.ask('PUT', `/visits-2/_doc/${idOf(subject)}`, { patient: { id: idOf(subject) } })
}

/** An index that refuses to be written. */
export async function block(server: OpensearchServer, index: string, blocked: boolean): Promise<void> {
  await server.ask('PUT', `/${index}/_settings`, { 'index.blocks.write': blocked })
}
