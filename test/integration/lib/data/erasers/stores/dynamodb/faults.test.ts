import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  createTable,
  dropTables,
  itemsIn,
  putItems,
} from '../../../../../../support/stages/dynamodb-tables.ts'
import {
  openDynamodbHouse,
  planOf,
  type DynamodbHouse,
} from '../../../../../../support/stages/dynamodb-house.ts'
import { never, person, request } from '../../../../../../support/stages/erasing.ts'
import { startProxy } from '../../../../../../support/servers/servers.ts'

let house: DynamodbHouse
beforeAll(async () => {
  house = await openDynamodbHouse()
}, 120_000)
afterAll(() => house.close())
beforeEach(async () => {
  house.faults.reset()
  await dropTables(house.client)
  await createTable(house.client, 'clinic', { pk: 'S', sk: 'S' })
})

const plan = planOf([{ name: 'record', table: 'clinic', key: { pk: 'PATIENT#{id}' } }])
const subjects = ['ann', 'bob', 'cat'].map(person)
const seed = (count: number, ids = ['ann', 'bob', 'cat']) =>
  putItems(
    house.client,
    'clinic',
    ids.flatMap((id) =>
      Array.from({ length: count }, (_, visit) => ({ pk: { S: `PATIENT#${id}` }, sk: { S: `${visit}` } })),
    ),
  )
const isOf = (id: string) => (key: string) => key.includes(`PATIENT#${id}`)
const writes = () => house.faults.calls.filter(({ operation }) => operation === 'BatchWriteItem').length
const left = async () => (await itemsIn(house.client, 'clinic')).length

describe('a batch that was done in part', () => {
  test('is asked for again until nothing of it is left', async () => {
    await seed(8)
    // Each round does one item: more rounds than tries, and each gets somewhere.
    let round = 0
    house.faults.leaveUndone = (_, { count }) => {
      const first = count !== round
      round = count
      return !first
    }
    expect(await house.eraser().erase(subjects, plan, request(), never)).toMatchObject({
      removed: { record: 24 },
      messages: [],
      more: false,
    })
    expect(writes()).toBe(24)
    expect(await left()).toBe(0)
  })

  test('leaves a hot partition alone after a while, does the others, and says that there is more', async () => {
    await seed(30)
    house.faults.leaveUndone = isOf('ann')
    const eraser = house.eraser()
    expect(await eraser.erase(subjects, plan, request(), never)).toMatchObject({
      removed: { record: 60 },
      messages: ['1 lookup of record left alone: throttled.'],
      more: true,
    })
    expect(await left()).toBe(30)
    house.faults.reset()
    house.faults.leaveUndone = isOf('ann')
    await expect(eraser.erase(subjects, plan, request(), never)).rejects.toMatchObject({
      code: 'E_STORE_THROTTLED',
      retryable: true,
    })
    // two calls at once, each tried as often as patience has it
    expect(writes()).toBe(8)
    house.faults.reset()
    expect(await eraser.erase(subjects, plan, request(), never)).toMatchObject({
      removed: { record: 30 },
      more: false,
    })
  })
})

describe('a throttled table', () => {
  test.each(['ProvisionedThroughputExceededException', 'ThrottlingException', 'RequestLimitExceeded'])(
    'that says %s is asked again, reading and writing',
    async (name) => {
      await seed(2)
      house.faults.fail = ({ count }) => (count < 4 ? { name } : undefined)
      expect(await house.eraser().erase(subjects, plan, request(), never)).toMatchObject({
        removed: { record: 6 },
        messages: [],
        more: false,
      })
      expect(writes()).toBe(4)
    },
  )

  test('is not waited for without end, nor for each subject in turn', async () => {
    const many = Array.from({ length: 20 }, (_, id) => `p${id}`)
    await seed(2, many)
    house.faults.fail = ({ operation }) =>
      operation === 'Query' ? { name: 'ThrottlingException' } : undefined
    const erased = house.eraser().erase(many.map(person), plan, request(), never)
    await expect(erased).rejects.toMatchObject({ code: 'E_STORE_THROTTLED', retryable: true })
    // Eight are read at once: 4 tries for these, 2 for each after.
    expect(house.faults.calls.filter(({ operation }) => operation === 'Query')).toHaveLength(8 * 4 + 12 * 2)
    for (const read of ['locate', 'verify'] as const)
      await expect(house.eraser()[read](subjects, plan, never)).rejects.toMatchObject({
        code: 'E_STORE_THROTTLED',
      })
  })

  test('and one that fails are told apart', async () => {
    await seed(1)
    house.faults.fail = ({ operation, count }) =>
      operation === 'BatchWriteItem' && count < 3 ? { name: 'InternalServerError', status: 500 } : undefined
    expect(await house.eraser().erase(subjects, plan, request(), never)).toMatchObject({
      removed: { record: 3 },
    })
    house.faults.fail = () => ({ name: 'InternalServerError', status: 500 })
    await expect(house.eraser().verify(subjects, plan, never)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      retryable: true,
    })
  })
})

describe('a refusal', () => {
  test('of one item in a partition that many share holds up none of the others', async () => {
    const consent = planOf([{ name: 'consent', table: 'clinic', key: { pk: 'CONSENT', sk: '{id}' } }])
    const ids = Array.from({ length: 60 }, (_, id) => `p${id}.`)
    await putItems(
      house.client,
      'clinic',
      ids.map((id) => ({ pk: { S: 'CONSENT' }, sk: { S: id } })),
    )
    house.faults.fail = ({ operation, body }) =>
      operation === 'BatchWriteItem' && body.includes('"p3."') ? { name: 'AccessDeniedException' } : undefined
    expect(await house.eraser().erase(ids.map(person), consent, request(), never)).toMatchObject({
      removed: { consent: 59 },
      messages: ['1 lookup of consent left alone: refused by DynamoDB (AccessDeniedException).'],
      more: false,
    })
    expect(await left()).toBe(1)
  })

  test('to read one subject holds up none of the others, and is no absence', async () => {
    await seed(2)
    house.faults.fail = ({ operation, body }) =>
      operation === 'Query' && body.includes('bob') ? { name: 'AccessDeniedException' } : undefined
    expect(await house.eraser().erase(subjects, plan, request(), never)).toMatchObject({
      removed: { record: 4 },
      messages: ['1 lookup of record left alone: refused by DynamoDB (AccessDeniedException).'],
    })
    const found = await house.eraser().verify([...subjects, person('nil')], plan, never)
    expect(found.map(({ absent }) => absent)).toEqual([true, false, true, true])
    for (const read of ['locate', 'verify'] as const)
      await expect(house.eraser()[read]([person('bob')], plan, never)).rejects.toMatchObject({
        code: 'E_STORE_REFUSED',
        retryable: false,
      })
  })

  // What stands before the server quotes the whole request in its message.
  test.each(['DescribeTable', 'Query', 'BatchWriteItem'])('of %s quotes no key', async (refused) => {
    await seed(1)
    for (const name of ['ValidationException', 'ThrottlingException', 'InternalServerError']) {
      house.faults.fail = ({ operation }) =>
        operation === refused ? { name, status: name.startsWith('I') ? 500 : 400 } : undefined
      const outcome = await house
        .eraser()
        .erase(subjects, plan, request(), never)
        .catch((error: unknown) => error)
      const said =
        outcome instanceof Error
          ? `${JSON.stringify(outcome)} ${outcome.message} ${outcome.stack} ${String(outcome.cause)}`
          : JSON.stringify(outcome)
      expect(said).toMatch(/refused|throttled|did not answer/)
      expect(said).not.toMatch(/PATIENT|ann|bob|cat"/)
    }
  })
})

describe('a connection', () => {
  const throughProxy = async (options: { deadlineMs: number }) => {
    const { host, port, endpoint } = house.server
    const proxy = await startProxy(host, port, { protocol: 'raw' })
    onTestFinished(() => proxy.close())
    const eraser = house.eraser({ endpoint: proxy.rewrite(endpoint), patience: options })
    /** When the second batch is on its way. */
    const atSecondWrite = (act: () => boolean) => {
      let count = 0
      proxy.counter.onMessage = (_, message) => !message.includes('BatchWriteItem') || ++count !== 2 || act()
    }
    return { proxy, eraser, atSecondWrite }
  }
  const finish = async (eraser: ReturnType<DynamodbHouse['eraser']>) => {
    const absent = async () => {
      const found = await eraser.verify(subjects, plan, never)
      return found.map(({ absent }) => absent)
    }
    expect(await absent()).toContain(false)
    await eraser.erase(subjects, plan, request(), never)
    expect(await absent()).toEqual([true, true, true])
  }

  test('cut in the middle of a call leaves what the next one goes on with', async () => {
    await seed(20)
    const { proxy, eraser, atSecondWrite } = await throughProxy({ deadlineMs: 5000 })
    atSecondWrite(() => false)
    await expect(eraser.erase(subjects, plan, request(), never)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      retryable: true,
      left: expect.stringContaining('stays deleted'),
    })
    expect(await left()).toBe(35)
    proxy.heal()
    await finish(eraser)
  })

  test('that is half open is given up at the deadline', async () => {
    await seed(20)
    const { proxy, eraser, atSecondWrite } = await throughProxy({ deadlineMs: 300 })
    atSecondWrite(() => {
      proxy.blackhole()
      return true
    })
    await expect(eraser.erase(subjects, plan, request(), never)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      message: 'DynamoDB records did not answer BatchWriteItem of table clinic (deadline).',
    })
    expect(await left()).toBe(35)
    proxy.heal()
    await finish(eraser)
  })

  test('that was idle and is closed by the other side is made anew within the call', async () => {
    await seed(20)
    const { proxy, eraser, atSecondWrite } = await throughProxy({ deadlineMs: 5000 })
    atSecondWrite(() => {
      proxy.cut()
      proxy.heal()
      return true
    })
    expect(await eraser.erase(subjects, plan, request(), never)).toMatchObject({ messages: [], more: false })
    expect(await left()).toBe(0)
  })

  test('that is slow is waited for within the deadline', async () => {
    await seed(20)
    const slow = house.eraser({ patience: { deadlineMs: 150 } })
    house.faults.delayMs = 400
    await expect(slow.verify(subjects, plan, never)).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' })
    house.faults.delayMs = 30
    expect(await house.eraser().erase(subjects, plan, request(), never)).toMatchObject({
      removed: { record: 60 },
    })
  })

  test('is let go when it is told to stop, and nothing more is asked', async () => {
    await seed(20)
    const stop = new AbortController()
    house.faults.fail = ({ operation, count }) => {
      if (operation === 'BatchWriteItem' && count === 2) stop.abort(new Error('stop'))
      return undefined
    }
    await expect(house.eraser().erase(subjects, plan, request(), stop.signal)).rejects.toThrow('stop')
    expect(writes()).toBe(2)
    expect(await left()).toBeGreaterThan(0)
  })

  test('is not waited for any longer when it is told to stop', async () => {
    await seed(1)
    const stop = new AbortController()
    house.faults.fail = ({ operation }) => {
      if (operation !== 'BatchWriteItem') return undefined
      setTimeout(() => stop.abort(new Error('stop')), 100)
      return { name: 'ThrottlingException' }
    }
    const patient = house.eraser({ patience: { tries: 100, firstMs: 600_000, mostMs: 600_000 } })
    const stopped = patient.erase(subjects, plan, request(), stop.signal)
    await expect(stopped).rejects.toThrow('stop')
  })
})
