import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
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

let house: DynamodbHouse
beforeAll(async () => {
  house = await openDynamodbHouse()
}, 120_000)
afterAll(() => house.close())
beforeEach(async () => {
  house.faults.reset()
  await dropTables(house.client)
})

const record = { name: 'record', table: 'clinic', key: { pk: 'PATIENT#{id}' } }
const mail = { name: 'mail', table: 'mails', index: 'by-email', key: { email: '{email}' } }
const mailPlan = planOf([mail], (id) => ({ email: [`${id}@example.org`] }))
const clinicTable = () => createTable(house.client, 'clinic', { pk: 'S', sk: 'S' })
const mailTable = () => createTable(house.client, 'mails', { id: 'S' }, { 'by-email': { email: 'S' } })
const visits = (id: string, count: number) =>
  Array.from({ length: count }, (_, visit) => ({ pk: { S: `PATIENT#${id}` }, sk: { S: `VISIT#${visit}` } }))
const operations = (name: string) => house.faults.calls.filter(({ operation }) => operation === name)

const writeRequest = z.object({ RequestItems: z.record(z.string(), z.array(z.unknown())) })
const sizeOf = (body: string) =>
  Object.values(writeRequest.parse(JSON.parse(body)).RequestItems).flat().length

describe('a partition', () => {
  test('goes whole, page by page, and in batches that many subjects share', async () => {
    await clinicTable()
    await putItems(house.client, 'clinic', [...visits('1', 230), ...visits('2', 3), ...visits('3', 4)])
    const plan = planOf([record])
    const subjects = ['1', '2'].map(person)
    expect(await house.eraser().locate(subjects, plan, never)).toEqual({ counts: { record: 233 } })
    const page = await house.eraser().erase(subjects, plan, request(), never)
    expect(page).toMatchObject({ removed: { record: 233 }, more: false, messages: [] })
    expect(operations('BatchWriteItem').map(({ body }) => sizeOf(body))).toEqual([
      ...Array.from({ length: 9 }, () => 25),
      8,
    ])
    expect(await itemsIn(house.client, 'clinic')).toHaveLength(4)
  })

  test('goes no further in one call than was asked for', async () => {
    await clinicTable()
    await putItems(house.client, 'clinic', visits('1', 60))
    const eraser = house.eraser()
    const call = () => eraser.erase([person('1')], planOf([record]), request(30), never)
    expect(await call()).toMatchObject({ removed: { record: 30 }, more: true })
    expect(await itemsIn(house.client, 'clinic')).toHaveLength(30)
    expect(await call()).toMatchObject({ removed: { record: 30 }, more: false })
  })

  test('is read consistently, and its table is described once', async () => {
    await clinicTable()
    const eraser = house.eraser()
    await eraser.locate([person('1')], planOf([record]), never)
    await eraser.verify([person('1'), person('2')], planOf([record]), never)
    const reads = operations('Query').map(({ body }) => z.looseObject({}).parse(JSON.parse(body)))
    expect(reads).toHaveLength(3)
    expect(reads.every(({ ConsistentRead }) => ConsistentRead === true)).toBe(true)
    expect(operations('DescribeTable')).toHaveLength(1)
  })

  test('whose table was made anew with another key is asked for by that', async () => {
    await clinicTable()
    const eraser = house.eraser()
    const anew = { name: 'record', table: 'clinic', key: { patient: '{id}' } }
    await eraser.locate([person('1')], planOf([record]), never)
    await dropTables(house.client)
    await createTable(house.client, 'clinic', { patient: 'S' })
    await putItems(house.client, 'clinic', [{ patient: { S: '1' } }])
    await expect(eraser.locate([person('1')], planOf([record]), never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
    })
    expect(await eraser.locate([person('1')], planOf([anew]), never)).toEqual({ counts: { record: 1 } })
  })
})

describe('one item', () => {
  test('goes and its neighbours stay, whatever the attributes of its key are called', async () => {
    await createTable(house.client, 'odd', { 'user.name': 'S', date: 'S' })
    const at = (date: string) => ({ 'user.name': { S: 'TENANT' }, date: { S: date } })
    await putItems(house.client, 'odd', ['1', '10', '2'].map(at))
    const plan = planOf([{ name: 'odd', table: 'odd', key: { 'user.name': 'TENANT', date: '{id}' } }])
    expect(await house.eraser().erase([person('1')], plan, request(), never)).toMatchObject({
      removed: { odd: 1 },
    })
    expect(await itemsIn(house.client, 'odd')).toEqual(expect.arrayContaining(['10', '2'].map(at)))
    expect(await itemsIn(house.client, 'odd')).toHaveLength(2)
  })

  test('that two subjects and two places lead to is deleted and counted once', async () => {
    await clinicTable()
    const shared = { pk: { S: 'FAMILY#7' }, sk: { S: 'ADDRESS' } }
    const familyOf = (id: string) => ({ family: id === '3' ? [] : ['7'] })
    await putItems(house.client, 'clinic', [shared, ...visits('1', 1)])
    const plan = planOf(
      [
        record,
        { name: 'family', table: 'clinic', key: { pk: 'FAMILY#{family}' } },
        { name: 'address', table: 'clinic', key: { pk: 'FAMILY#{family}', sk: 'ADDRESS' } },
      ],
      familyOf,
    )
    const subjects = ['1', '2'].map(person)
    const counts = { record: 1, family: 1 }
    expect(await house.eraser().locate(subjects, plan, never)).toEqual({ counts })
    expect(
      await house.eraser().verify([...subjects, person('3')], planOf(plan.places, familyOf), never),
    ).toEqual([
      { absent: false, left: counts, retained: [] },
      { absent: false, left: { family: 1 }, retained: [] },
      { absent: true, left: {}, retained: [] },
    ])
    expect(await house.eraser().erase(subjects, plan, request(), never)).toMatchObject({
      removed: counts,
      messages: [],
    })
    expect(await itemsIn(house.client, 'clinic')).toEqual([])
  })

  test.each([
    ['007', '7'],
    ['7.50', '7.5'],
    ['-0', '0'],
    ['100', '100'],
    ['-0.5', '-0.5'],
    ['12345678901234567890123456789012345678', '12345678901234567890123456789012345678'],
  ])('is found by the number %s and by bytes', async (given, stored) => {
    await createTable(house.client, 'typed', { account: 'N', token: 'B' })
    const token = Buffer.from([0, 255, 10])
    const other = { account: { N: '8' }, token: { B: token } }
    await putItems(house.client, 'typed', [{ account: { N: stored }, token: { B: token } }, other])
    const plan = planOf(
      [{ name: 'typed', table: 'typed', key: { account: '{id}', token: '{token}' } }],
      () => ({
        token: [token.toString('base64')],
      }),
    )
    expect(await house.eraser().erase([person(given)], plan, request(), never)).toMatchObject({
      removed: { typed: 1 },
    })
    expect(await itemsIn(house.client, 'typed')).toHaveLength(1)
  })

  test.each([
    ['account', 'N', '12a'],
    ['account', 'B', 'YQ'],
  ] as const)(
    'with a value that is no %s of type %s holds up nobody, and is not called absent',
    async (name, type, bad) => {
      await createTable(house.client, 'typed', { [name]: type })
      const good = type === 'N' ? { N: '7777' } : { B: Buffer.from('7777', 'base64') }
      await putItems(house.client, 'typed', [{ [name]: good }])
      const plan = planOf([{ name: 'typed', table: 'typed', key: { [name]: '{id}' } }])
      const subjects = [person(bad), person('7777')]
      expect(await house.eraser().erase(subjects, plan, request(), never)).toMatchObject({
        removed: { typed: 1 },
        messages: ["1 subject has a value that can't be a key of typed."],
      })
      const found = await house.eraser().verify(subjects, plan, never)
      expect(found.map(({ absent }) => absent)).toEqual([false, true])
      for (const read of ['locate', 'verify'] as const)
        await expect(house.eraser()[read]([person(bad)], plan, never)).rejects.toMatchObject({
          code: 'E_IDENTIFIER',
        })
    },
  )
})

describe('an index', () => {
  const put = (id: string, email: string) =>
    putItems(house.client, 'mails', [{ id: { S: id }, email: { S: email } }])

  /** From now on the index answers as it does now. */
  const freeze = async (readings = Infinity) => {
    let old: string | undefined
    house.faults.rewrite = ({ operation }, answer) => {
      if (operation !== 'Query') return answer
      old ??= answer
      return readings-- > 0 ? old : answer
    }
    await house.eraser().locate([person('ann')], mailPlan, never)
  }

  test('leads to items that go by the key of the table', async () => {
    await mailTable()
    await put('m1', 'ann@example.org')
    await put('m2', 'ann@example.org')
    await put('m3', 'bob@example.org')
    expect(await house.eraser().erase([person('ann')], mailPlan, request(), never)).toMatchObject({
      removed: { mail: 2 },
    })
    expect((await itemsIn(house.client, 'mails')).map(({ id }) => id)).toEqual([{ S: 'm3' }])
  })

  test("that lags takes no item which is somebody else's by now", async () => {
    await mailTable()
    await put('m1', 'ann@example.org')
    await freeze()
    await put('m1', 'bob@example.org')
    expect(await house.eraser().erase([person('ann')], mailPlan, request(), never)).toMatchObject({
      removed: {},
      more: false,
    })
    expect(await itemsIn(house.client, 'mails')).toHaveLength(1)
  })

  test('that still shows what has gone is asked again until it does not', async () => {
    await mailTable()
    await put('m1', 'ann@example.org')
    await freeze(4)
    await house.eraser().erase([person('ann')], mailPlan, request(), never)
    expect(await house.eraser().verify([person('ann')], mailPlan, never)).toMatchObject([{ absent: true }])
  })

  test('that goes on showing it is a copy that is left', async () => {
    await mailTable()
    await put('m1', 'ann@example.org')
    await freeze()
    await house.eraser().erase([person('ann')], mailPlan, request(), never)
    expect(await itemsIn(house.client, 'mails')).toEqual([])
    expect(await house.eraser().verify([person('ann')], mailPlan, never)).toMatchObject([
      { absent: false, left: { mail: 1 } },
    ])
  })

  test('that does not show yet what was written is asked a second time', async () => {
    await mailTable()
    await freeze(2)
    await put('m1', 'ann@example.org')
    expect(await house.eraser().verify([person('ann')], mailPlan, never)).toMatchObject([
      { absent: false, left: { mail: 1 } },
    ])
  })

  test('that shows an item twice has it asked for once, also where the table answers in parts', async () => {
    await mailTable()
    for (const id of ['m1', 'm2', 'm3']) await put(id, 'ann@example.org')
    house.faults.rewrite = ({ operation }, answer) => {
      if (operation !== 'Query') return answer
      const parsed = z.looseObject({ Items: z.array(z.unknown()) }).parse(JSON.parse(answer))
      return JSON.stringify({ ...parsed, Items: [...parsed.Items, ...parsed.Items] })
    }
    house.faults.leaveUnread = (key, { count }) => key.includes('m2') && count < 3
    expect(await house.eraser().erase([person('ann')], mailPlan, request(), never)).toMatchObject({
      removed: { mail: 3 },
    })
    expect(operations('BatchGetItem')).toHaveLength(3)
  })
})

describe('a plan', () => {
  test.each([
    ['an index that is not there', { ...mail, index: 'by-phone' }, /no such index/],
    ['no template for the partition key', { ...record, key: { sk: '{id}' } }, /no template for pk/],
    ['an attribute outside the key', { ...record, key: { pk: '{id}', x: '{id}' } }, /x is not the next/],
    ['no identifier at all', { ...record, key: { pk: 'CONSENT' } }, /the same items for every subject/],
  ])('with %s is refused before anything goes', async (_, place, why) => {
    await clinicTable()
    await mailTable()
    await putItems(house.client, 'clinic', [...visits('1', 2), { pk: { S: 'CONSENT' }, sk: { S: '1' } }])
    const plan = planOf([record, { ...place, name: 'wrong' }])
    const error = { code: 'E_CONFIG', message: expect.stringMatching(why) }
    await expect(house.eraser().erase([person('1')], plan, request(), never)).rejects.toMatchObject(error)
    await expect(house.eraser().verify([person('1')], plan, never)).rejects.toMatchObject(error)
    expect(await itemsIn(house.client, 'clinic')).toHaveLength(3)
  })

  test('with a table that is not there is refused before anything goes', async () => {
    await clinicTable()
    await putItems(house.client, 'clinic', visits('1', 2))
    const plan = planOf([record, { ...record, name: 'wrong', table: 'nowhere' }])
    await expect(house.eraser().erase([person('1')], plan, request(), never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
      message: 'DynamoDB records refused DescribeTable of nowhere (ResourceNotFoundException).',
    })
    expect(await itemsIn(house.client, 'clinic')).toHaveLength(2)
  })

  test('names the copies that stay', () => {
    const { sideEffects, irreversibleAfter } = house.eraser().capabilities
    for (const copy of ['streams', 'point-in-time recovery', 'backups', 'time to live', 'replicas'])
      expect(sideEffects.some((effect) => effect.includes(copy))).toBe(true)
    expect(irreversibleAfter).toContain('35 days')
  })
})

describe('reading back', () => {
  test('tells subjects apart where table and index lead to the same item, with readings that all share', async () => {
    await mailTable()
    const ids = Array.from({ length: 20 }, (_, id) => `p${id}`)
    await putItems(
      house.client,
      'mails',
      ids.slice(1).map((id) => ({ id: { S: id }, email: { S: `${id}@example.org` } })),
    )
    const byId = { name: 'by-id', table: 'mails', key: { id: '{id}' } }
    const plan = planOf([mail, byId], (id) => ({ email: [`${id === 'p1' ? 'p2' : id}@example.org`] }))
    const found = await house.eraser().verify(ids.map(person), plan, never)
    expect(found.map(({ left }) => left)).toEqual([
      {},
      { 'by-id': 1, mail: 1 },
      ...ids.slice(2).map(() => ({ 'by-id': 1 })),
    ])
    // One a lookup: the table's once, the index's twice, since a moment ago is not seen at once.
    expect(operations('Query')).toHaveLength(20 + 2 * 19)
  })
})

describe('a probe', () => {
  test('asks each table and index for what nobody has, and changes nothing', async () => {
    await clinicTable()
    await mailTable()
    await createTable(house.client, 'typed', { account: 'N', token: 'B' })
    await putItems(house.client, 'clinic', visits('1', 1))
    const typed = { name: 'typed', table: 'typed', key: { account: '{id}', token: '{id}' } }
    await house.eraser().probe(planOf([record, mail, typed]), never)
    const asked = new Set(house.faults.calls.map(({ operation }) => operation))
    expect(asked).toEqual(new Set(['DescribeTable', 'Query', 'BatchGetItem']))
    expect(operations('Query')).toHaveLength(3)
  })

  test.each(['DescribeTable', 'Query', 'BatchGetItem'])('that may not do %s says so', async (refused) => {
    await mailTable()
    house.faults.fail = ({ operation }) =>
      operation === refused ? { name: 'AccessDeniedException' } : undefined
    await expect(house.eraser().probe(mailPlan, never)).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
  })

  test('sees a table that is not what it was', async () => {
    await clinicTable()
    const eraser = house.eraser()
    await eraser.probe(planOf([record]), never)
    await dropTables(house.client)
    await createTable(house.client, 'clinic', { patient: 'S' })
    await expect(eraser.probe(planOf([record]), never)).rejects.toMatchObject({ code: 'E_CONFIG' })
  })
})
