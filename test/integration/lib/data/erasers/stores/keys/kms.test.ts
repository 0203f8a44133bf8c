import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  KMSClient,
  ReplicateKeyCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { keysEraser } from '../../../../../../../lib/data/erasers/stores/keys/eraser.ts'
import { freePace, idOf, never, person, request, knowing } from '../../../../../../support/stages/erasing.ts'
import { startHttpBetween, type HttpBetween } from '../../../../../../support/servers/http-between.ts'
import { keysPlan } from '../../../../../../support/stages/keys-stage.ts'
import {
  startMinistack,
  startProxy,
  type MinistackServer,
} from '../../../../../../support/servers/servers.ts'

const plan = keysPlan([{ name: 'records', key: 'alias/patient-{id}' }])

describe('keys in AWS KMS', () => {
  let server: MinistackServer
  let between: HttpBetween
  let client: KMSClient
  let next = 0
  beforeAll(async () => {
    server = await startMinistack('kms')
    between = await startHttpBetween(server.endpoint)
    client = new KMSClient(server)
  })
  afterAll(async () => {
    client.destroy()
    await between.close()
    await server.stop()
  })
  beforeEach(() => between.reset())

  const eraserOf = (waitingDays = 7, endpoint = between.url, pace = freePace()) =>
    knowing(
      keysEraser({
        backend: 'kms',
        store: 'kms',
        pace,
        waitingDays,
        region: server.region,
        credentials: server.credentials,
        endpoint,
        patience: { deadlineMs: 1000, attempts: 2 },
      }),
    )
  const seed = async (MultiRegion = false) => {
    const id = `k${++next}`
    const { KeyMetadata } = await client.send(new CreateKeyCommand({ MultiRegion }))
    const keyId = KeyMetadata?.KeyId ?? ''
    await client.send(new CreateAliasCommand({ AliasName: `alias/patient-${id}`, TargetKeyId: keyId }))
    return { subject: person(id), keyId }
  }
  const stateOf = async (KeyId: string) =>
    (await client.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.KeyState
  const target = (name: string) => `TrentService.${name}`

  test('gives a key its date, and keeps it as retained until then: whatever its waiting period', async () => {
    for (const days of [7, 30]) {
      const { subject, keyId } = await seed()
      const before = Date.now()
      const page = await eraserOf(days).erase([subject], plan, request(), never)
      expect(page.removed).toEqual({ records: 1 })
      expect(await stateOf(keyId)).toBe('PendingDeletion')
      const [found] = await eraserOf(days).verify([subject], plan, never)
      expect(found).toMatchObject({ absent: true, left: {}, retained: page.retained })
      expect(found?.retained).toMatchObject([{ place: 'records', count: 1, ground: 'KMS waiting period' }])
      const away = (Date.parse(found?.retained[0]?.until ?? '') - before) / 86_400_000
      expect(Math.abs(away - days)).toBeLessThan(0.01)
    }
  })

  test('has nothing to keep of a key that is gone', async () => {
    expect(await eraserOf().verify([person('nobody')], plan, never)).toEqual([
      { absent: true, left: {}, retained: [] },
    ])
  })

  test.each([6, 31, 7.5])('refuses a waiting period of %d days', (days) => {
    expect(() => eraserOf(days)).toThrow(expect.objectContaining({ code: 'E_CONFIG' }))
  })

  test('leaves a key that another alias leads to, and says so', async () => {
    const { subject, keyId } = await seed()
    await client.send(new CreateAliasCommand({ AliasName: `alias/all-${idOf(subject)}`, TargetKeyId: keyId }))
    const page = await eraserOf().erase([subject], plan, request(), never)
    expect(page).toMatchObject({ removed: {}, more: false })
    expect(page.messages).toEqual([expect.stringContaining('another alias')])
    expect(await stateOf(keyId)).toBe('Enabled')
    expect(await eraserOf().verify([subject], plan, never)).toMatchObject([{ absent: false }])
  })

  test('leaves a primary key while it has replicas in other regions, and says so', async () => {
    const { subject, keyId } = await seed(true)
    await client.send(new ReplicateKeyCommand({ KeyId: keyId, ReplicaRegion: 'eu-central-1' }))
    const page = await eraserOf().erase([subject], plan, request(), never)
    expect(page).toMatchObject({ removed: {}, more: false })
    expect(page.messages).toEqual([expect.stringContaining('replicas')])
    expect(await stateOf(keyId)).toBe('Enabled')
  })

  test('finds a key that waits without a date still there', async () => {
    const { subject } = await seed()
    between.instead = ({ headers }) =>
      headers['x-amz-target'] === target('DescribeKey')
        ? {
            status: 200,
            body: JSON.stringify({ KeyMetadata: { KeyId: 'x', KeyState: 'PendingReplicaDeletion' } }),
          }
        : undefined
    expect(await eraserOf().verify([subject], plan, never)).toMatchObject([{ left: { records: 1 } }])
  })

  test('is told by the 400 of a throttle to come back, not that it may not', async () => {
    const { subject } = await seed()
    let refusals = 1
    between.instead = ({ headers }) =>
      headers['x-amz-target'] === target('ScheduleKeyDeletion') && refusals-- > 0
        ? { status: 400, body: '{"__type":"ThrottlingException","message":"Rate exceeded"}' }
        : undefined
    const page = await eraserOf().erase([subject], plan, request(), never)
    expect(page.removed).toEqual({ records: 1 })
  })

  test('throws what it is not allowed to read, in words without the key', async () => {
    const { subject, keyId } = await seed()
    between.instead = () => ({
      status: 400,
      body: JSON.stringify({ __type: 'AccessDeniedException', message: `not on ${keyId} ${idOf(subject)}` }),
    })
    for (const call of [
      eraserOf().probe(plan, never),
      eraserOf().verify([subject], plan, never),
      eraserOf().erase([subject], plan, request(), never),
    ])
      await expect(call).rejects.toMatchObject({
        code: 'E_STORE_REFUSED',
        message: 'AWS KMS (kms) refused: read a key (400 AccessDeniedException).',
      })
  })

  test.each(['arn:aws:kms:us-east-1:000000000000:alias/aws/s3', 'alias/aws/{id}', 'patient-{id}'])(
    'refuses the template %s',
    async (key) => {
      await expect(eraserOf().probe(keysPlan([{ name: 'x', key }]), never)).rejects.toMatchObject({
        code: 'E_CONFIG',
      })
    },
  )

  test('is harmless where the answer to a deletion was lost', async () => {
    const { subject, keyId } = await seed()
    between.lose = ({ headers }) => headers['x-amz-target'] === target('ScheduleKeyDeletion')
    await expect(eraserOf().erase([subject], plan, request(), never)).rejects.toThrow()
    between.reset()
    const page = await eraserOf().erase([subject], plan, request(), never)
    expect(page).toMatchObject({ removed: {}, more: false })
    expect(page.retained).toHaveLength(1)
    expect(await stateOf(keyId)).toBe('PendingDeletion')
  })

  test('gives up on a path that is cut or half-open, and is done when it heals', async () => {
    const { subject } = await seed()
    const proxy = await startProxy(server.host, server.port, { protocol: 'raw' })
    try {
      const eraser = eraserOf(7, `http://127.0.0.1:${proxy.port}`)
      for (const fault of [() => proxy.cut(), () => proxy.blackhole()]) {
        fault()
        await expect(eraser.erase([subject], plan, request(), never)).rejects.toMatchObject({
          code: 'E_STORE_UNAVAILABLE',
        })
        proxy.heal()
      }
      expect((await eraser.erase([subject], plan, request(), never)).removed).toEqual({ records: 1 })
    } finally {
      await proxy.close()
    }
  })
})
