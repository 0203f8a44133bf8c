/**
 * A wire proxy that breaks things between a worker and its servers: it counts the client's protocol messages, can act
 * before any of them is passed on, cuts connections, or swallows bytes while the sockets stay open.
 */
import { createServer, connect, type Socket } from 'node:net'

/** Shared by several proxies, so that "the k-th message of a run" counts over all its servers. */
export interface MessageCounter {
  count: number
  /** Called before message `n` (from 1) is passed on; when it returns false, this message and all after it are dropped. */
  onMessage?: (n: number) => boolean
}

export interface ProxyOptions {
  protocol: 'postgres' | 'redis' | 'raw'
  counter?: MessageCounter
}

export interface FaultProxy {
  host: string
  port: number
  /** `url` with the proxy's address in place of the server's. */
  rewrite(url: string): string
  /** Destroys every connection and refuses new ones. */
  cut(): void
  /** Discards bytes in both directions while the sockets stay open: a half-open path. */
  blackhole(): void
  heal(): void
  close(): Promise<void>
}

export async function startProxy(host: string, port: number, options: ProxyOptions): Promise<FaultProxy> {
  const sockets = new Set<Socket>()
  let mode: 'open' | 'cut' | 'blackhole' = 'open'
  const server = createServer((client) => {
    if (mode === 'cut') return void client.destroy()
    const upstream = connect(port, host)
    const frames = splitter(options.protocol)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (chunk) => {
      for (const frame of frames(chunk)) {
        const passed = options.counter === undefined || count(options.counter)
        if (!passed) cut()
        if (mode === 'open') upstream.write(frame)
      }
    })
    upstream.on('data', (chunk) => {
      if (mode === 'open') client.write(chunk)
    })
  })
  const cut = () => {
    mode = 'cut'
    for (const socket of sockets) socket.destroy()
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    host: '127.0.0.1',
    port: address.port,
    rewrite(url) {
      const changed = new URL(url)
      changed.hostname = '127.0.0.1'
      changed.port = String(address.port)
      return changed.toString()
    },
    cut,
    blackhole() {
      mode = 'blackhole'
    },
    heal() {
      mode = 'open'
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function count(counter: MessageCounter): boolean {
  counter.count += 1
  return counter.onMessage?.(counter.count) ?? true
}

/** Cuts a byte stream into whole protocol messages, so that a kill falls between two of them. */
function splitter(protocol: ProxyOptions['protocol']): (chunk: Buffer) => Buffer[] {
  if (protocol === 'raw') return (chunk) => [chunk]
  let rest = Buffer.alloc(0)
  let started = false
  return (chunk) => {
    rest = Buffer.concat([rest, chunk])
    const frames: Buffer[] = []
    for (;;) {
      const length = protocol === 'redis' ? redisCommand(rest) : postgresMessage(rest, started)
      if (length === 0 || length > rest.length) return frames
      if (protocol === 'postgres') started = true
      frames.push(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
  }
}

/** Length of the first message, 0 when it isn't known yet. The start-up message has no type byte. */
function postgresMessage(buffer: Buffer, started: boolean): number {
  const offset = started ? 1 : 0
  return buffer.length < offset + 4 ? 0 : buffer.readInt32BE(offset) + offset
}

/** Length of the first RESP array of bulk strings, 0 when it isn't whole yet. */
function redisCommand(buffer: Buffer): number {
  const line = (from: number) => {
    const end = buffer.indexOf('\r\n', from)
    return end < 0 ? undefined : { number: Number(buffer.toString('latin1', from + 1, end)), next: end + 2 }
  }
  const head = line(0)
  if (head === undefined) return 0
  let at = head.next
  for (let i = 0; i < head.number; i++) {
    const bulk = line(at)
    if (bulk === undefined) return 0
    at = bulk.next + bulk.number + 2
  }
  return at > buffer.length ? 0 : at
}
