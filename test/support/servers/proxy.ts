/**
 * A wire proxy that breaks things between a worker and its servers: it counts the client's protocol messages, can act
 * before any of them is passed on, cuts connections, or swallows bytes while the sockets stay open. Plain text only: a
 * client that asks for TLS is told by the server, not by us, and encrypted bytes count as one message for each chunk.
 */
import { createServer, connect, type Socket } from 'node:net'
import { splitter, type Protocol } from './frames.ts'

/** Shared by several proxies, so that "the k-th message of a run" counts over all its servers. */
export interface MessageCounter {
  count: number
  /** Called before message `n` (from 1) is passed on; when it returns false, this message and all after it are dropped. */
  onMessage?: (n: number, message: Buffer) => boolean
}

export interface ProxyOptions {
  /** What is one message: PostgreSQL's, a RESP command, or each chunk as it comes. */
  protocol: Protocol
  counter?: MessageCounter
}

export interface FaultProxy {
  host: string
  port: number
  /** The counter given, or the proxy's own. */
  counter: MessageCounter
  /** Whether an open connection has lost bytes, in a black hole or after a cut. */
  readonly lostBytes: boolean
  /** `url` with the proxy's address in place of the server's. */
  rewrite(url: string): string
  /** Ends every connection and refuses new ones. What was passed on before still reaches the server. */
  cut(): void
  /** Discards bytes in both directions while the sockets stay open: a half-open path. */
  blackhole(): void
  /** Lets everything through again. Connections that lost bytes are ended: what follows a gap is not the protocol. */
  heal(): void
  close(): Promise<void>
}

interface Pair {
  client: Socket
  upstream: Socket
  lostBytes: boolean
}

export async function startProxy(host: string, port: number, options: ProxyOptions): Promise<FaultProxy> {
  const pairs = new Set<Pair>()
  const counter = options.counter ?? { count: 0 }
  let mode: 'open' | 'cut' | 'blackhole' = 'open'

  const server = createServer((client) => {
    if (mode === 'cut') {
      client.resetAndDestroy()
      return
    }
    const pair: Pair = { client, upstream: connect(port, host), lostBytes: false }
    pairs.add(pair)
    const frames = splitter(options.protocol)
    joinEnds(pair, () => pairs.delete(pair))
    client.on('data', (chunk) => {
      for (const frame of frames(chunk)) {
        // A message that was swallowed or came after the cut is not one of the run's messages.
        if (mode === 'open' && !passes(counter, frame)) cut()
        if (mode === 'open') forward(frame, client, pair.upstream)
        else pair.lostBytes = true
      }
    })
    pair.upstream.on('data', (chunk) => {
      if (mode === 'open') forward(chunk, pair.upstream, client)
      else pair.lostBytes = true
    })
  })

  const cut = () => {
    mode = 'cut'
    for (const { client, upstream } of pairs) {
      client.destroy()
      upstream.destroySoon()
    }
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    host: '127.0.0.1',
    port: address.port,
    counter,
    get lostBytes() {
      return [...pairs].some((pair) => pair.lostBytes)
    },
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
      for (const pair of pairs) if (pair.lostBytes) pair.client.destroy()
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const { client, upstream } of pairs) {
        client.destroy()
        upstream.destroy()
      }
      await closed
    },
  }
}

/** Ends the other side when one ends, after what is still on its way: a server's last words reach the client. */
function joinEnds(pair: Pair, ended: () => void): void {
  for (const [socket, other] of [
    [pair.client, pair.upstream],
    [pair.upstream, pair.client],
  ] as const) {
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      ended()
      other.destroySoon()
    })
  }
}

/** Without the pause a large COPY through the proxy would pile up in memory. */
function forward(bytes: Buffer, from: Socket, to: Socket): void {
  if (to.write(bytes) || from.isPaused()) return
  from.pause()
  to.once('drain', () => from.resume())
}

function passes(counter: MessageCounter, message: Buffer): boolean {
  counter.count += 1
  return counter.onMessage?.(counter.count, message) ?? true
}
