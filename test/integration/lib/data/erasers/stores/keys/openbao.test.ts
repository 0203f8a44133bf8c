import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { SubjectRef } from '../../../../../../../lib/data/erasers/index.ts'
import { keysEraser } from '../../../../../../../lib/data/erasers/stores/keys/eraser.ts'
import type { KeyPlace } from '../../../../../../../lib/data/erasers/stores/keys/target.ts'
import { freePace, idOf, never, person, request, knowing } from '../../../../../../support/stages/erasing.ts'
import { startHttpBetween, type HttpBetween } from '../../../../../../support/servers/http-between.ts'
import { keysPlan } from '../../../../../../support/stages/keys-stage.ts'
import { startOpenbao, type OpenbaoServer } from '../../../../../../support/servers/openbao.ts'
import { startProxy } from '../../../../../../support/servers/servers.ts'

const records: KeyPlace = { name: 'records', engine: 'transit', key: 'record-{id}' }
const secrets: KeyPlace = { name: 'secrets', engine: 'kv', key: 'patients/{id}' }
const plan = keysPlan([records, secrets])

describe('keys in OpenBao', () => {
  let server: OpenbaoServer
  let between: HttpBetween
  let next = 0
  beforeAll(async () => {
    server = await startOpenbao()
    between = await startHttpBetween(server.url)
  })
  afterAll(async () => {
    await between.close()
    await server.stop()
  })
  beforeEach(() => between.reset())

  const eraserOf = (
    baseUrl = between.url,
    auth: { token: string } | { roleId: string; secretId: string } = { token: server.token },
    pace = freePace(),
  ) =>
    knowing(
      keysEraser({
        backend: 'openbao',
        store: 'vault',
        pace,
        baseUrl,
        auth,
        patience: { deadlineMs: 1000, attempts: 2 },
      }),
    )
  /** With a key that has encrypted something, and a secret of two versions, the newer one deleted softly. */
  const seed = async (): Promise<SubjectRef> => {
    const id = `p${++next}`
    await server.ask('POST', `transit/keys/record-${id}`)
    for (const value of ['old', 'new'])
      await server.ask('POST', `secret/data/patients/${id}`, { data: { value } })
    await server.ask('DELETE', `secret/data/patients/${id}`)
    return person(id)
  }
  const isGone = (path: string) =>
    server.ask('GET', path).then(
      () => false,
      (error: unknown) => String(error).includes('404'),
    )

  test('takes the key from what it encrypted, and every version of a secret', async () => {
    const subject = await seed()
    const id = idOf(subject)
    const encrypted = (await server.ask('POST', `transit/encrypt/record-${id}`, {
      plaintext: 'aGVsbG8=',
    })) as {
      data: { ciphertext: string }
    }
    await eraserOf().erase([subject], plan, request(), never)
    await expect(
      server.ask('POST', `transit/decrypt/record-${id}`, { ciphertext: encrypted.data.ciphertext }),
    ).rejects.toThrow('400')
    expect(await isGone(`secret/metadata/patients/${id}`)).toBe(true)
    expect(await isGone(`secret/data/patients/${id}?version=1`)).toBe(true)
  })

  test('finds a key that was only deleted softly still there, and destroys it', async () => {
    const subject = await seed()
    await server.ask('DELETE', `transit/keys/record-${idOf(subject)}/soft-delete`)
    const eraser = eraserOf()
    expect(await eraser.verify([subject], plan, never)).toMatchObject([{ left: { records: 1, secrets: 1 } }])
    await eraser.erase([subject], plan, request(), never)
    expect(await eraser.verify([subject], plan, never)).toMatchObject([{ absent: true }])
  })

  test.each([
    ['nothing is mounted', { ...secrets, mount: 'nowhere' }, 'E_STORE_REFUSED'],
    ['another engine is mounted', { ...records, mount: 'secret' }, 'E_CONFIG'],
    ['KV of version 1 is mounted', { ...secrets, mount: 'kv1' }, 'E_CONFIG'],
    ['everybody has the same key', { ...secrets, key: 'patients' }, 'E_CONFIG'],
    ['no engine is named', { name: 'records', key: 'record-{id}' }, 'E_CONFIG'],
  ])('takes nothing for absent where %s', async (_what, place, code) => {
    await server.ask('POST', 'sys/mounts/kv1', { type: 'kv' }).catch(() => undefined)
    const eraser = eraserOf()
    const wrong = keysPlan([place])
    await expect(eraser.probe(wrong, never)).rejects.toMatchObject({ code })
    await expect(eraser.verify([person('p0')], wrong, never)).rejects.toMatchObject({ code })
  })

  test('does not take a 404 that speaks of a path for a missing key', async () => {
    const subject = await seed()
    between.instead = ({ path }) =>
      path.includes('/keys/') ? { status: 404, body: '{"errors":["no handler for route"]}' } : undefined
    await expect(eraserOf().verify([subject], plan, never)).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
  })

  test.each(['a/b', '..', 'a%2fb', 'a?b', ''])(
    'leaves a subject whose value %j leads elsewhere, and says that it is not absent',
    async (stray) => {
      const good = await seed()
      const bad = person(stray)
      const eraser = eraserOf()
      const page = await eraser.erase([bad, good], plan, request(), never)
      expect(page.removed).toEqual({ records: 1, secrets: 1 })
      expect(page.messages).toHaveLength(1)
      const [first, second] = await eraser.verify([bad, good], plan, never)
      expect([first?.absent, second?.absent]).toEqual([false, true])
    },
  )

  test('leaves a key that two subjects of a call lead to', async () => {
    const subject = await seed()
    const shared = keysPlan([{ ...records, key: 'record-{both}' }], () => ({ both: [idOf(subject)] }))
    const page = await eraserOf().erase([subject, person('other')], shared, request(), never)
    expect(page).toMatchObject({ removed: {}, more: false })
    expect(await isGone(`transit/keys/record-${idOf(subject)}`)).toBe(false)
  })

  test('is not held up by more refused keys than it may destroy in a call', async () => {
    const subjects = [await seed(), await seed(), await seed()]
    const last = idOf(subjects[2] ?? person(''))
    between.instead = ({ method, path }) =>
      method !== 'GET' && path.includes('keys/') && !path.includes(last)
        ? { status: 403, body: '{"errors":["permission denied"]}' }
        : undefined
    const only = keysPlan([records])
    const page = await eraserOf().erase(subjects, only, request(1), never)
    expect(page).toMatchObject({ removed: { records: 1 }, more: false })
    expect(page.messages).toEqual([expect.stringContaining('2 of the keys were left')])
  })

  test('works as an AppRole with the rights it asks for, and logs in again when its token has ended', async () => {
    const role = await server.addRole(
      'lethe',
      `path "transit/keys/record-*" { capabilities = ["read", "update", "delete"] }
       path "secret/metadata/patients/*" { capabilities = ["read", "delete"] }`,
    )
    const subject = await seed()
    const eraser = eraserOf(between.url, role)
    await eraser.probe(plan, never)
    const used = between.asked.find(({ path }) => path.includes('/mounts/'))?.headers['x-vault-token']
    await server.ask('POST', 'auth/token/revoke', { token: used })
    const page = await eraser.erase([subject], plan, request(), never)
    expect(page.removed).toEqual({ records: 1, secrets: 1 })
  })

  test('says that it is not known, or may not, in words that hold no key and no token', async () => {
    const subject = await seed()
    const role = await server.addRole('reader', `path "transit/keys/*" { capabilities = ["read"] }`)
    for (const auth of [{ token: 'no-such-token' }, { ...role, secretId: 'no-such-secret' }])
      await expect(eraserOf(between.url, auth).probe(plan, never)).rejects.toMatchObject({
        code: 'E_STORE_REFUSED',
        message: expect.not.stringMatching(/no-such|p\d/),
      })
    const page = await eraserOf(between.url, role).erase([subject], keysPlan([records]), request(), never)
    expect(page).toMatchObject({ removed: {}, more: false })
    expect(page.messages.join()).not.toContain(idOf(subject))
  })

  test('rests as long as it is asked to, and is done afterwards', async () => {
    const subject = await seed()
    let refusals = 1
    between.instead = ({ method }) =>
      method === 'DELETE' && refusals-- > 0 ? { status: 429, headers: { 'retry-after': '0' } } : undefined
    const pace = freePace()
    const page = await eraserOf(between.url, undefined, pace).erase([subject], plan, request(), never)
    expect(pace.rests).toEqual([0])
    expect(page).toMatchObject({ removed: { records: 1, secrets: 1 }, more: false })
  })

  test('ends with what was done where the vault goes away in between, and goes on later', async () => {
    const subject = await seed()
    between.lose = ({ method, path }) => method === 'DELETE' && path.includes('/metadata/')
    const page = await eraserOf().erase([subject], plan, request(), never)
    expect(page).toMatchObject({ removed: { records: 1 }, more: true })
    // The answer was lost, not the deletion.
    between.lose = undefined
    expect(await eraserOf().erase([subject], plan, request(), never)).toMatchObject({
      removed: {},
      more: false,
    })
    expect(await eraserOf().verify([subject], plan, never)).toMatchObject([{ absent: true }])
  })

  test('gives up on a path that is cut, half-open or slow, and is done when it heals', async () => {
    const subject = await seed()
    const proxy = await startProxy(server.host, server.port, { protocol: 'raw' })
    try {
      const eraser = eraserOf(`http://127.0.0.1:${proxy.port}`)
      for (const fault of [() => proxy.cut(), () => proxy.blackhole()]) {
        fault()
        await expect(eraser.erase([subject], plan, request(), never)).rejects.toMatchObject({
          code: 'E_STORE_UNAVAILABLE',
        })
        proxy.heal()
      }
      // Cut before the third message of a call: a token's, a mount's, a key's.
      const begin = proxy.counter.count
      proxy.counter.onMessage = (n) => n < begin + 4
      await expect(eraser.verify([subject], plan, never)).rejects.toMatchObject({
        code: 'E_STORE_UNAVAILABLE',
      })
      delete proxy.counter.onMessage
      proxy.heal()
      await eraser.erase([subject], plan, request(), never)
      expect(await eraser.verify([subject], plan, never)).toMatchObject([{ absent: true }])
    } finally {
      await proxy.close()
    }
  })

  test('ends with the reason of whoever stops it in the middle', async () => {
    const subject = await seed()
    const stop = new AbortController()
    between.instead = ({ method }) => {
      if (method === 'DELETE') stop.abort(new Error('enough'))
      return undefined
    }
    await expect(eraserOf().erase([subject], plan, request(), stop.signal)).rejects.toThrow('enough')
  })
})
