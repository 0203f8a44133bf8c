/** Lists of words that stand in the code and in a CHECK of the schema: each is the same in both. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { intakeKinds, intakeVerbs } from '../../../../../lib/record/requests/intake.ts'
import { holdKinds, holdLevels } from '../../../../../lib/record/holds/hold.ts'
import { modes } from '../../../../../lib/record/proposals/policies.ts'
import { decisionOutcomes, proposalStates } from '../../../../../lib/record/proposals/proposals.ts'
import { migrate, openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import { rootStates } from '../../../../../lib/data/rows/population/population.ts'
import { erasureEntries } from '../../../../../lib/record/erasures/entries.ts'
import { requestsOfRuns } from '../../../../../lib/record/ledger/run.ts'
import { runStates } from '../../../../../lib/record/ledger/transitions.ts'
import { answerKinds, answerStates } from '../../../../../lib/record/requests/answers.ts'
import { decisionVerbs } from '../../../../../lib/record/requests/decisions.ts'
import {
  identityMethods,
  origins,
  personalMethods,
  personalRequesters,
  requesters,
  requestKinds,
} from '../../../../../lib/record/requests/request.ts'
import { stopScopes } from '../../../../../lib/record/holds/stops.ts'
import { legStates, requestStates, requestTransitions } from '../../../../../lib/record/requests/states.ts'
import { catchUps } from '../../../../../lib/base/schedule/schedules.ts'
import type { TestDatabase } from '../../../../support/servers/postgres.ts'
import { freshDatabase } from '../../../../support/servers/shared.ts'

/** By table and column. What SQL alone writes stands here as it is there. */
const lists: Readonly<Record<'control' | 'target', Readonly<Record<string, readonly string[]>>>> = {
  control: {
    'approvals.outcome': decisionOutcomes,
    'erasure_answers.kind': answerKinds,
    'erasure_answers.state': answerStates,
    'erasure_decisions.verb': decisionVerbs,
    'erasure_joined.kind': requestKinds,
    'erasure_joined.requester': requesters,
    'erasure_legs.state': legStates,
    'erasure_requests.identity_method': identityMethods,
    'erasure_requests.kind': requestKinds,
    'erasure_requests.origin': origins,
    'erasure_requests.requester': requesters,
    'erasure_requests.resume_state': requestTransitions.attend.from,
    'erasure_requests.state': requestStates,
    'erasures.entry': erasureEntries,
    'holds.kind': holdKinds,
    'holds.level': holdLevels,
    'occurrences.outcome': ['run', 'skipped'],
    'policies.mode': modes,
    'proposals.state': proposalStates,
    'runs.request': requestsOfRuns,
    'runs.state': runStates,
    'schedules.catch_up': catchUps,
    'stops.scope': stopScopes,
  },
  target: {
    'holds.level': holdLevels,
    'intake.verb': intakeVerbs,
    'population.state': rootStates,
  },
}
/** What the functions that applications call let through, by function and parameter. */
const parameters: Readonly<Record<string, readonly string[]>> = {
  'confirm_erasure.identity': personalMethods,
  'request_erasure.identity': personalMethods,
  'request_erasure.kind': intakeKinds,
  'request_erasure.requester': personalRequesters,
}

let database: TestDatabase
let db: Database

beforeAll(async () => {
  database = await freshDatabase()
  await migrate(database.url, 'control')
  await migrate(database.url, 'target')
  db = openDatabase(database.url, { name: 'app', applicationName: 'lethe test' })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

describe.each([
  ['control', 'lethe_control'],
  ['target', 'lethe'],
] as const)('in the schema of a %s database', (which, schema) => {
  /** Words of each CHECK that is a list of words, by table and column. */
  async function checks(): Promise<Map<string, string[]>> {
    const rows = await db.query(
      z.object({ name: z.string(), text: z.string() }),
      `SELECT t.relname || '.' || a.attname AS name,
         pg_get_constraintdef(c.oid) AS text
       FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
         JOIN pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
       WHERE c.contype = 'c' AND t.relnamespace = $1::regnamespace AND pg_get_constraintdef(c.oid) LIKE '%ARRAY[%'`,
      [schema],
    )
    return new Map(rows.map(({ name, text }) => [name, words(text)]))
  }

  test('every column with a list of words is held against the code, and no other', async () => {
    expect([...(await checks()).keys()].sort()).toEqual(Object.keys(lists[which]).sort())
  })

  test.each(Object.entries(lists[which]))('%s has the words of the code', async (name, list) => {
    expect((await checks()).get(name)).toEqual([...list].sort())
  })
})

test('the functions that applications call let through what the code takes', async () => {
  const rows = await db.query(
    z.object({ name: z.string(), text: z.string() }),
    `SELECT proname AS name, prosrc AS text FROM pg_proc WHERE pronamespace = 'lethe'::regnamespace`,
  )
  const found = rows.flatMap(({ name, text }) =>
    [...text.matchAll(/(\w+) NOT IN \(([^)]*)\)/g)].map(([, parameter, list = '']) => [
      `${name}.${parameter}`,
      words(list),
    ]),
  )
  expect(Object.fromEntries(found)).toEqual(
    Object.fromEntries(Object.entries(parameters).map(([name, list]) => [name, [...list].sort()])),
  )
})

/** The literals in a piece of SQL, sorted. */
function words(text: string): string[] {
  return [...text.matchAll(/'([^']*)'/g)].map(([, word = '']) => word).sort()
}
