import type { LookupAddress, LookupOptions } from 'node:dns'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { guardedSend, isPrivate } from '../../../../../../lib/data/erasers/processors/guarded.ts'
import { startHttp, type HttpServer } from '../../../../../support/servers/http-server.ts'

const signal = new AbortController().signal
const init = { method: 'POST', redirect: 'manual', headers: {}, body: '{}', signal } as const

describe('what is private', () => {
  test.each([
    '127.0.0.1',
    '127.255.255.254',
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:a00:1',
    '::127.0.0.1',
    '64:ff9b::10.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b:1::1',
    '2002:7f00:1::1',
    'fc00::1',
    'fd12::1',
    'fe80::1',
    'fe80::1%lo',
    'ff02::1',
  ])('%s', (address) => {
    expect(isPrivate(address)).toBe(true)
  })

  test.each([
    '1.1.1.1',
    '172.32.0.1',
    '100.128.0.1',
    '2606:4700::1111',
    '64:ff9b::101:101',
    '::ffff:1.1.1.1',
  ])('%s is not', (address) => {
    expect(isPrivate(address)).toBe(false)
  })
})

describe('a guarded call', () => {
  let server: HttpServer
  let came = 0
  beforeAll(async () => {
    server = await startHttp(({ path }) => {
      came += 1
      return path === '/away'
        ? { status: 307, headers: { location: '/' } }
        : path === '/long'
          ? { status: 200, body: 'x'.repeat(5 * 1024 * 1024) }
          : { status: 200, body: 'yes' }
    })
  })
  afterAll(() => server.close())
  beforeEach(() => {
    came = 0
  })

  const guarded = guardedSend({ store: 'letters', allowPrivate: false })
  const open = guardedSend({ store: 'letters', allowPrivate: true })

  test.each([
    ['plain HTTP', () => 'http://example.org/'],
    ['another protocol', () => 'file:///etc/passwd'],
    ['no address', () => 'example.org'],
    ['this machine', () => `https://127.0.0.1:${server.port}/`],
    ['this machine by IPv6', () => `https://[::1]:${server.port}/`],
    ['this machine as a number', () => `https://2130706433:${server.port}/`],
    ['this machine in octal', () => `https://0177.0.0.1:${server.port}/`],
    ["this machine in IPv6's dress", () => `https://[::ffff:127.0.0.1]:${server.port}/`],
    ["a cloud's metadata", () => 'https://169.254.169.254/latest/'],
    ['a name that leads to this machine', () => `https://localhost:${server.port}/`],
  ])('refuses %s', async (_, address) => {
    await expect(new Promise((resolve) => resolve(guarded(address(), init)))).rejects.toMatchObject({
      code: 'E_CONFIG',
    })
    expect(came).toBe(0)
  })

  test('checks the very address that it connects to: the name is asked once, so nothing can change in between', async () => {
    let asked = 0
    const lookup = (
      _: string,
      __: LookupOptions,
      callback: (error: null, found: LookupAddress[]) => void,
    ): void => {
      asked += 1
      callback(null, [{ address: asked > 1 ? '1.1.1.1' : '127.0.0.1', family: 4 }])
    }
    const send = guardedSend({ store: 'letters', allowPrivate: false, lookup })
    await expect(send(`https://processor.test:${server.port}/`, init)).rejects.toMatchObject({
      code: 'E_CONFIG',
    })
    expect(asked).toBe(1)
    expect(came).toBe(0)
  })

  test('refuses a name of which one address is private', async () => {
    const found = [
      { address: '1.1.1.1', family: 4 },
      { address: '10.0.0.1', family: 4 },
    ]
    const send = guardedSend({
      store: 'letters',
      allowPrivate: false,
      lookup: (_, __, callback) => callback(null, found),
    })
    await expect(send('https://processor.test/', init)).rejects.toMatchObject({ code: 'E_CONFIG' })
  })

  test('may go to a private network where that is allowed', async () => {
    const answer = await open(server.url, init)
    expect([answer.status, await answer.text()]).toEqual([200, 'yes'])
  })

  test('follows no redirect', async () => {
    expect((await open(`${server.url}/away`, init)).status).toBe(307)
    expect(came).toBe(1)
  })

  test('does not fill the memory with an endless answer', async () => {
    await expect(open(`${server.url}/long`, init)).rejects.toMatchObject({ code: 'E2BIG' })
  })

  test('is ended by its signal', async () => {
    await expect(open(server.url, { ...init, signal: AbortSignal.abort() })).rejects.toThrow('abort')
  })
})
