import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { SubjectRef } from '../../lib/data/erasers/index.ts'
import { dynamodbEraser } from '../../lib/data/erasers/stores/dynamodb/eraser.ts'
import type { DynamodbPlan } from '../../lib/data/erasers/stores/dynamodb/plan.ts'
import { startDynamodbFaults } from '../support/vendors/dynamodb-faults.ts'
import { createTable, dropTables, putItems } from '../support/stages/dynamodb-tables.ts'
import { idOf, people, person, knowing, type Known } from '../support/stages/erasing.ts'
import { startMinistack } from '../support/servers/servers.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

/** A single-table design, a table of one item a person, and a table that is found by an index. */
describeEraser('for DynamoDB', async (): Promise<EraserFixture<Known<DynamodbPlan>>> => {
  const server = await startMinistack('dynamodb')
  const faults = await startDynamodbFaults(server.endpoint)
  const client = new DynamoDBClient(server)
  const eraser = knowing(
    dynamodbEraser({
      ...server,
      store: 'records',
      endpoint: faults.endpoint,
      patience: { firstMs: 1 },
      settleMs: 1,
    }),
  )
  /** Of a key as it stands in a request. */
  const isOf = (subject: SubjectRef) => (key: string) =>
    key.includes(`"PATIENT#${idOf(subject)}"`) || key.includes(`"M${idOf(subject)}-`)
  return {
    eraser,
    plan: {
      places: [
        { name: 'record', table: 'clinic', key: { pk: 'PATIENT#{id}' } },
        { name: 'consent', table: 'clinic', key: { pk: 'CONSENT', sk: 'PATIENT#{id}' } },
        { name: 'mail', table: 'mails', index: 'by-email', key: { email: '{email}' } },
      ],
      identifiers: (subject) => ({ id: [idOf(subject)], email: [`p${idOf(subject)}@example.org`] }),
    },
    stranger: person(999_999),
    async reset() {
      faults.reset()
      await dropTables(client)
      await createTable(client, 'clinic', { pk: 'S', sk: 'S' })
      await createTable(client, 'mails', { id: 'S' }, { 'by-email': { email: 'S' } })
    },
    async seed(count) {
      const subjects = people(count)
      for (const subject of subjects) {
        const pk = { S: `PATIENT#${idOf(subject)}` }
        const email = { S: `p${idOf(subject)}@example.org` }
        await putItems(client, 'clinic', [
          { pk, sk: { S: 'PROFILE' }, name: { S: 'x' } },
          { pk, sk: { S: 'VISIT#1' } },
          { pk: { S: 'CONSENT' }, sk: pk },
        ])
        await putItems(client, 'mails', [
          { id: { S: `M${idOf(subject)}-1` }, email },
          { id: { S: `M${idOf(subject)}-2` }, email },
        ])
      }
      return subjects
    },
    request: (limit) => Promise.resolve({ runId: '00000000-0000-0000-0000-000000000001', fence: 1n, limit }),
    lieAbout(subject) {
      faults.lieAbout = isOf(subject)
      return Promise.resolve()
    },
    // As a policy with dynamodb:LeadingKeys does: the whole call is refused for one key in it.
    refuse(subject) {
      faults.fail = ({ operation, body }) =>
        operation === 'BatchWriteItem' && isOf(subject)(body) ? { name: 'AccessDeniedException' } : undefined
      return Promise.resolve(() => {
        faults.fail = undefined
        return Promise.resolve()
      })
    },
    async close() {
      eraser.close()
      client.destroy()
      await faults.close()
      await server.stop()
    },
  }
})
