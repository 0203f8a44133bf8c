/**
 * What we send, against the vendor's own mock: it checks each request against Stripe's OpenAPI document, with `-beta`
 * against that of the previews. It answers with fixtures and remembers nothing.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  freePace,
  never,
  person,
  request,
  knowing,
  type Known,
} from '../../../../../support/stages/erasing.ts'
import {
  canConnect,
  freePort,
  makeFolder,
  removeFolder,
  startProcess,
  untilReady,
  type ServerProcess,
} from '../../../../../support/servers/process.ts'
import { stripeEraser } from '../../../../../../lib/data/erasers/processors/stripe/eraser.ts'
import type { StripePlan } from '../../../../../../lib/data/erasers/processors/stripe/plan.ts'
import { findProgram } from '../../../../../support/servers/servers.ts'

let folder: string
let mock: ServerProcess
let port: number
beforeAll(async () => {
  folder = makeFolder('stripe-mock')
  await promisify(execFile)(
    await findProgram('go', 'golang-go'),
    ['install', 'github.com/stripe/stripe-mock@v0.203.0'],
    { env: { ...process.env, GOBIN: folder } },
  )
  port = await freePort()
  mock = startProcess(join(folder, 'stripe-mock'), ['-beta', '-http-addr', `127.0.0.1:${port}`], folder)
  await untilReady(mock, folder, () => canConnect(port))
}, 300_000)
afterAll(async () => {
  await mock.end('SIGTERM')
  await removeFolder(folder)
})

const plan: Known<StripePlan> = {
  customer: 'customer',
  email: 'email',
  identifiers: ({ key: [id = ''] }) => ({ customer: [`cus_${id}`], email: [`${id}@example.org`] }),
}
const eraser = (options = {}) =>
  knowing(
    stripeEraser({
      store: 'billing',
      apiKey: 'sk_test_123',
      pace: freePace(),
      baseUrl: `http://127.0.0.1:${port}`,
      patience: { attempts: 1 },
      ...options,
    }),
  )

test('Deleting customers: each request is one that Stripe documents, each answer one that we read.', async () => {
  await eraser().probe(plan, never)
  expect(await eraser().locate([person('p1')], plan, never)).toEqual({ counts: { customers: 1 } })
  expect(await eraser().erase([person('p1'), person('p2')], plan, request(), never)).toMatchObject({
    removed: { customers: 2 },
    messages: [],
  })
  expect(await eraser().verify([person('p1')], plan, never)).toMatchObject([{ absent: false }])
})

test('Redacting them: the same.', async () => {
  const redacting = eraser({ redaction: true, validation: 'fix' })
  await redacting.probe(plan, never)
  const page = await redacting.erase([person('p1')], plan, request(), never)
  expect(page).toMatchObject({ messages: [], pending: [{ job: expect.stringMatching(/^redaction:/) }] })
  const jobs = page.pending.map(({ job }) => job)
  await redacting.erase([person('p1')], plan, request(1000, jobs), never)
})
