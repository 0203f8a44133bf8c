import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterEach, describe, expect, inject, test } from 'vitest'
import {
  startProxy,
  type FaultProxy,
  type MessageCounter,
  type ProxyOptions,
} from '../../support/servers/servers.ts'

const closers: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

async function before(url: string, options: ProxyOptions): Promise<FaultProxy> {
  const { hostname, port } = new URL(url)
  const proxy = await startProxy(hostname, Number(port), options)
  closers.push(() => proxy.close())
  return proxy
}

function client(url: string): pg.Client {
  const made = new pg.Client({ connectionString: url })
  made.on('error', () => undefined)
  closers.push(() => made.end().catch(() => undefined))
  return made
}

describe('counting', () => {
  test('a PostgreSQL message is one, however many share a packet, and the start-up counts', async () => {
    const proxy = await before(inject('postgresUrl'), { protocol: 'postgres' })
    const db = client(proxy.rewrite(inject('postgresUrl')))
    await db.connect()
    const start = proxy.counter.count
    await db.query('SELECT 1')
    expect(proxy.counter.count - start).toBe(1)
    // parse, bind, describe, execute, sync
    await db.query('SELECT $1::int', [1])
    expect(proxy.counter.count - start).toBe(6)
  })

  test('a message of many megabytes is one and arrives whole', async () => {
    const proxy = await before(inject('postgresUrl'), { protocol: 'postgres' })
    const db = client(proxy.rewrite(inject('postgresUrl')))
    await db.connect()
    const start = proxy.counter.count
    const { rows } = await db.query({ text: `SELECT length('${'x'.repeat(20_000_000)}')`, rowMode: 'array' })
    expect(rows).toEqual([[20_000_000]])
    expect(proxy.counter.count - start).toBe(1)
  })

  test('a Redis command is one, also in a pipeline and with line ends inside', async () => {
    const proxy = await before(inject('redisUrl'), { protocol: 'redis' })
    const redis = new Redis(proxy.rewrite(inject('redisUrl')), {
      disableClientInfo: true,
      enableReadyCheck: false,
    })
    closers.push(() => redis.disconnect())
    await redis.ping()
    const start = proxy.counter.count
    await redis.pipeline().echo('*1\r\n$4\r\nPING\r\n').echo('two').echo('').exec()
    expect(proxy.counter.count - start).toBe(3)
  })

  test('several proxies count into one, and no message after the refused one passes on either', async () => {
    const counter: MessageCounter = { count: 0 }
    const [first, second] = await Promise.all([
      before(inject('redisUrl'), { protocol: 'redis', counter }),
      before(inject('redisUrl'), { protocol: 'redis', counter }),
    ])
    const [one, two] = await Promise.all([first, second].map(async (proxy) => connectTo(proxy)))
    const seen: number[] = []
    counter.onMessage = (n) => {
      seen.push(n)
      return n < 3
    }
    one?.write(command('SET', 'proxy-a', '1'))
    await once(one ?? never(), 'data')
    // Two commands in one packet: the first of them still reaches the server.
    two?.write(command('SET', 'proxy-b', '2') + command('SET', 'proxy-c', '3'))
    await once(two ?? never(), 'close')
    one?.write(command('SET', 'proxy-d', '4'))
    await once(one ?? never(), 'close')
    expect(seen).toEqual([1, 2, 3, 4])
    const redis = new Redis(inject('redisUrl'))
    await expect
      .poll(() => redis.mget('proxy-a', 'proxy-b', 'proxy-c', 'proxy-d'))
      .toEqual(['1', '2', null, null])
    await redis.del('proxy-a', 'proxy-b')
    redis.disconnect()
  })
})

describe('faults', () => {
  test('what was passed on before a cut reaches the server, also when the way to it was still being opened', async () => {
    const { port } = new URL(inject('redisUrl'))
    const counter: MessageCounter = { count: 0, onMessage: (n) => n < 2 }
    // By name, which takes longer to connect to than the commands take to arrive.
    const proxy = await startProxy('localhost', Number(port), { protocol: 'redis', counter })
    closers.push(() => proxy.close())
    const socket = connect(proxy.port, proxy.host)
    socket.on('error', () => undefined)
    const ended = once(socket, 'close')
    socket.write(command('SET', 'proxy-first', '1') + command('SET', 'proxy-second', '2'))
    await ended
    const redis = new Redis(inject('redisUrl'))
    await expect.poll(() => redis.mget('proxy-first', 'proxy-second')).toEqual(['1', null])
    await redis.del('proxy-first')
    redis.disconnect()
  })

  test('a cut ends connections and refuses new ones until it heals', async () => {
    const proxy = await before(inject('postgresUrl'), { protocol: 'postgres' })
    const db = client(proxy.rewrite(inject('postgresUrl')))
    await db.connect()
    const ended = new Promise((resolve) => void db.once('end', () => resolve(null)))
    proxy.cut()
    await ended
    await expect(client(proxy.rewrite(inject('postgresUrl'))).connect()).rejects.toThrow()
    proxy.heal()
    const again = client(proxy.rewrite(inject('postgresUrl')))
    await again.connect()
    expect((await again.query('SELECT 1')).rowCount).toBe(1)
  })

  test('a black hole swallows both directions and keeps the sockets open; healing ends what lost bytes', async () => {
    const received: string[] = []
    const peers: Socket[] = []
    const server = createServer((socket) => {
      peers.push(socket)
      socket.on('data', (chunk) => received.push(chunk.toString()))
      socket.on('error', () => undefined)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closers.push(() => void server.close())
    const address = server.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    const proxy = await before(`tcp://127.0.0.1:${port}`, { protocol: 'raw' })
    const [lossy, quiet] = await Promise.all([connectTo(proxy), connectTo(proxy)])
    lossy.write('before')
    await expect.poll(() => received).toEqual(['before'])
    proxy.blackhole()
    lossy.write('lost')
    const ended = once(lossy, 'close')
    await expect.poll(() => proxy.lostBytes).toBe(true)
    expect([lossy.destroyed, quiet.destroyed]).toEqual([false, false])
    proxy.heal()
    await ended
    quiet.write('after')
    await expect.poll(() => received).toEqual(['before', 'after'])
    for (const peer of peers) peer.destroy()
  })

  test("a server's last words reach the client before the connection ends", async () => {
    const words = 'x'.repeat(5_000_000)
    const server = createServer((socket) => socket.end(words))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closers.push(() => void server.close())
    const address = server.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    const proxy = await before(`tcp://127.0.0.1:${port}`, { protocol: 'raw' })
    expect((await text(await connectTo(proxy))).length).toBe(words.length)
  })
})

async function connectTo(proxy: FaultProxy): Promise<Socket> {
  const socket = connect(proxy.port, proxy.host)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  closers.push(() => void socket.destroy())
  return socket
}

function command(...words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
}

function never(): never {
  throw new Error('the connection is missing')
}
