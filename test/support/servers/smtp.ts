/** A mail server that keeps what it is sent: enough of RFC 5321 for one client, and the answers a test asks for. */
import { createServer, type Socket } from 'node:net'

export interface Mail {
  from: string
  to: string[]
  data: string
}

export interface SmtpServer {
  url: string
  readonly mails: Mail[]
  close(): Promise<void>
}

/** `refuse` gives the answer to RCPT TO for an address, such as `550 no such mailbox`; null: accepted. */
export async function startSmtp(
  refuse: (address: string) => string | null = () => null,
): Promise<SmtpServer> {
  const mails: Mail[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    converse(socket, mails, refuse)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address !== 'object') throw new Error('no port')
  return {
    url: `smtp://127.0.0.1:${address.port}`,
    mails,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

function converse(socket: Socket, mails: Mail[], refuse: (address: string) => string | null): void {
  let mail: Mail = { from: '', to: [], data: '' }
  let inData = false
  let rest = ''
  const answer = (line: string) => socket.write(`${line}\r\n`)
  const command = (line: string) => {
    const verb = line.slice(0, 4).toUpperCase()
    const address = /<([^>]*)>/.exec(line)?.[1] ?? ''
    if (verb === 'EHLO' || verb === 'HELO') answer('250 test')
    else if (verb === 'MAIL') {
      mail = { from: address, to: [], data: '' }
      answer('250 ok')
    } else if (verb === 'RCPT') {
      const refusal = refuse(address)
      if (refusal === null) mail.to.push(address)
      answer(refusal ?? '250 ok')
    } else if (verb === 'DATA') {
      inData = true
      answer('354 go on')
    } else if (verb === 'QUIT') socket.end('221 bye\r\n')
    else answer('250 ok')
  }
  answer('220 test')
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = `${rest}${chunk}`.split('\r\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (!inData) command(line)
      else if (line === '.') {
        inData = false
        mails.push(mail)
        answer('250 kept')
      } else mail.data += `${line}\n`
    }
  })
}
