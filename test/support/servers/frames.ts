/** Cuts a client's byte stream into whole protocol messages, so that a fault falls between two of them. */
export type Protocol = 'postgres' | 'redis' | 'raw'

/** A function that takes the stream's next chunk and returns the messages complete with it. One for each connection. */
export function splitter(protocol: Protocol): (chunk: Buffer) => Buffer[] {
  if (protocol === 'raw') return (chunk) => [chunk]
  const measure = protocol === 'redis' ? redisCommand : postgresMessages()
  let parts: Buffer[] = []
  let size = 0
  let wanted = 0
  return (chunk) => {
    parts.push(chunk)
    size += chunk.length
    // A large message comes in thousands of chunks: join them once, when it is whole.
    if (size < wanted) return []
    let rest = Buffer.concat(parts)
    const frames: Buffer[] = []
    for (;;) {
      wanted = measure(rest)
      if (wanted === 0 || wanted > rest.length) break
      frames.push(rest.subarray(0, wanted))
      rest = rest.subarray(wanted)
    }
    parts = [rest]
    size = rest.length
    return frames
  }
}

const sslRequest = 80877103
const gssRequest = 80877104

/** Length of the first message, 0 when it isn't known yet. Those before and at start-up have no type byte. */
function postgresMessages(): (buffer: Buffer) => number {
  let started = false
  return (buffer) => {
    if (started) return buffer.length < 5 ? 0 : buffer.readInt32BE(1) + 1
    if (buffer.length < 8) return 0
    const length = buffer.readInt32BE(0)
    const code = buffer.readInt32BE(4)
    if (length <= buffer.length) started = code !== sslRequest && code !== gssRequest
    return length
  }
}

/** Length of the first RESP array of bulk strings, 0 when it isn't known yet. */
function redisCommand(buffer: Buffer): number {
  const head = line(buffer, 0)
  if (head === undefined) return 0
  let at = head.next
  for (let i = 0; i < head.number; i++) {
    const bulk = line(buffer, at)
    if (bulk === undefined) return 0
    at = bulk.next + bulk.number + 2
  }
  return at
}

function line(buffer: Buffer, from: number): { number: number; next: number } | undefined {
  const end = buffer.indexOf('\r\n', from)
  return end < 0 ? undefined : { number: Number(buffer.toString('latin1', from + 1, end)), next: end + 2 }
}
