import { createHmac, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../../../lib/config/index.ts'
import { createLogger, type Logger } from '../../../../../lib/base/log/index.ts'
import { createNotifier, type Notifier } from '../../../../../lib/people/notify/index.ts'
import { startSmtp, type SmtpServer } from '../../../../support/servers/smtp.ts'

const message = {
  to: 'canary.person@example.org',
  subject: 'Your data will be deleted',
  body: 'On 2027-01-01.\n.\nA line with a dot above.',
  id: 'a1b2c3',
}
const folder = mkdtempSync(join(tmpdir(), 'lethe-notify-'))
afterAll(() => rmSync(folder, { recursive: true }))

function notifierOf(notifications: object, env: Record<string, string>, log?: Logger): Notifier {
  const path = join(folder, 'lethe.yaml')
  writeFileSync(path, JSON.stringify({ version: 1, stores: {}, subjects: {}, tables: {}, notifications }))
  const config = loadConfig(path, env)
  return createNotifier(config.file.notifications, (reference) => config.secret(reference), log)
}

describe('the webhook', () => {
  const secret = randomBytes(32)
  let server: Server
  let url: string
  let answer: { status: number; headers?: Record<string, string> }
  let received: { headers: IncomingHttpHeaders; body: string }[]

  beforeAll(async () => {
    server = createServer((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => (body += text))
      request.on('end', () => {
        received.push({ headers: request.headers, body })
        response.writeHead(answer.status, answer.headers).end('thanks')
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    if (address === null || typeof address !== 'object') throw new Error('no port')
    url = `http://127.0.0.1:${address.port}/hook`
  })
  afterAll(() => server.close())
  beforeEach(() => {
    received = []
    answer = { status: 204 }
  })

  const notifier = (env: Record<string, string> = {}) =>
    notifierOf(
      { channel: 'webhook', webhook: { url: 'env:HOOK', secret: 'env:HOOK_SECRET' } },
      { HOOK: url, HOOK_SECRET: `whsec_${secret.toString('base64')}`, ...env },
    )

  it('signs the exact body, as Standard Webhooks asks, and 2xx means delivered', async () => {
    expect(await notifier().deliver(message)).toEqual({ delivered: true })
    const [call] = received
    const stamp = String(call?.headers['webhook-timestamp'])
    const signature = createHmac('sha256', secret).update(`a1b2c3.${stamp}.${call?.body}`).digest('base64')
    expect(call?.headers['webhook-id']).toBe('a1b2c3')
    expect(call?.headers['webhook-signature']).toBe(`v1,${signature}`)
    expect(JSON.parse(call?.body ?? '')).toMatchObject({
      type: 'retention.warning',
      data: { to: message.to, subject: message.subject, body: message.body },
    })
  })

  it.each([
    [500, 'E_NOTIFY_UNAVAILABLE'],
    [429, 'E_NOTIFY_UNAVAILABLE'],
    [401, 'E_NOTIFY_CREDENTIALS'],
    [400, 'E_NOTIFY_REFUSED'],
    [302, 'E_NOTIFY_REFUSED'],
  ])('that answers %i has delivered nothing (%s)', async (status, errorCode) => {
    answer = { status, headers: { location: 'http://127.0.0.1:1/' } }
    expect(await notifier().deliver(message)).toEqual({ delivered: false, errorCode })
    expect(received).toHaveLength(1)
  })

  it('passes on how long it wants to be left alone', async () => {
    answer = { status: 429, headers: { 'retry-after': '120' } }
    expect(await notifier().deliver(message)).toMatchObject({ retryAfterSeconds: 120 })
    answer = { status: 503, headers: { 'retry-after': new Date(Date.now() + 90_000).toUTCString() } }
    const { retryAfterSeconds = 0 } = await notifier().deliver(message)
    expect(retryAfterSeconds).toBeGreaterThan(80)
    expect(retryAfterSeconds).toBeLessThanOrEqual(90)
  })

  it('that is away has delivered nothing', async () => {
    expect(await notifier({ HOOK: 'http://127.0.0.1:1/' }).deliver(message)).toEqual({
      delivered: false,
      errorCode: 'E_NOTIFY_UNAVAILABLE',
    })
  })

  it('with a secret too short to sign with is a mistake in the configuration, told without the secret', async () => {
    const error = await notifier({ HOOK_SECRET: 'whsec_c2hvcnQ=' })
      .deliver(message)
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'E_CONFIG' })
    expect(JSON.stringify(error)).not.toContain('c2hvcnQ')
  })

  it('looks its address up at the first delivery, not before', async () => {
    const late = notifierOf(
      { channel: 'webhook', webhook: { url: 'env:HOOK', secret: 'env:HOOK_SECRET' } },
      {},
    )
    await expect(late.deliver(message)).rejects.toMatchObject({ code: 'E_CONFIG_MISSING' })
  })
})

describe('mail', () => {
  let server: SmtpServer | undefined
  afterEach(async () => {
    await server?.close()
    server = undefined
  })
  const notifier = (url: string) =>
    notifierOf(
      { channel: 'smtp', smtp: { url: 'env:SMTP', from: 'The Clinic <clinic@example.org>' } },
      { SMTP: url },
    )

  it('accepted by the server for this recipient is delivered', async () => {
    server = await startSmtp()
    expect(await notifier(server.url).deliver(message)).toEqual({ delivered: true })
    const [mail] = server.mails
    expect(mail).toMatchObject({ from: 'clinic@example.org', to: [message.to] })
    expect(mail?.data).toContain('Subject: Your data will be deleted')
    expect(mail?.data).toContain('Auto-Submitted: auto-generated')
    expect(mail?.data).toContain('a1b2c3')
  })

  it.each([
    ['550 no such mailbox', 'E_NOTIFY_REFUSED'],
    ['451 try later', 'E_NOTIFY_UNAVAILABLE'],
  ])('refused with "%s" is not delivered', async (reply, errorCode) => {
    server = await startSmtp(() => reply)
    expect(await notifier(server.url).deliver(message)).toEqual({ delivered: false, errorCode })
    expect(server.mails).toEqual([])
  })

  it('goes to one recipient, whatever stands in the address', async () => {
    server = await startSmtp()
    await notifier(server.url).deliver({ ...message, to: 'a@example.org, b@example.org' })
    expect(server.mails.flatMap((mail) => mail.to).length).toBeLessThanOrEqual(1)
  })

  it('whose server is away is not delivered', async () => {
    expect(await notifier('smtp://127.0.0.1:1').deliver(message)).toEqual({
      delivered: false,
      errorCode: 'E_NOTIFY_UNAVAILABLE',
    })
  })
})

describe('the log', () => {
  it('never counts as delivered, and holds no address', async () => {
    const lines: string[] = []
    const log = createLogger({
      name: 'test',
      destination: { write: (line: string) => void lines.push(line) },
    })
    const notifier = notifierOf({ channel: 'log' }, {}, log)
    expect(await notifier.deliver(message)).toEqual({ delivered: false, errorCode: 'E_NOTIFY_LOG' })
    expect(lines.join('')).toContain('a1b2c3')
    expect(lines.join('')).not.toContain('canary')
  })
})
