/**
 * A TCP proxy whose path can go half open: sockets stay up, bytes are thrown away in both directions. This is what a
 * dropped NAT entry or a moved virtual address looks like, and what no connection error ever reports.
 */
import { connect, createServer, type Socket } from 'node:net'

export interface HalfOpenProxy {
  readonly port: number
  /** From now on nothing passes, in old connections and in new ones. */
  drop(): void
  /** New connections pass again; those that lost bytes stay dead, as they do in life. */
  heal(): void
  /** Bytes thrown away so far. */
  dropped(): number
  close(): Promise<void>
}

export async function startHalfOpenProxy(target: { host: string; port: number }): Promise<HalfOpenProxy> {
  const sockets = new Set<Socket>()
  const spoiled = new WeakSet<Socket>()
  let dropping = false
  let dropped = 0

  const server = createServer((client) => {
    const upstream = connect(target)
    const relay = (from: Socket, to: Socket): void => {
      sockets.add(from)
      from.on('data', (bytes) => {
        if (dropping) for (const side of [from, to]) spoiled.add(side)
        if (spoiled.has(from)) dropped += bytes.length
        else to.write(bytes)
      })
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
    relay(client, upstream)
    relay(upstream, client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    port: address.port,
    drop() {
      dropping = true
    },
    heal() {
      dropping = false
    },
    dropped: () => dropped,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
