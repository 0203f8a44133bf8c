/** A processor that speaks OpenDSR as its specification has it: signed receipts, states that move on, an id taken once. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { json, startHttp, type Asked, type HttpServer, type Reply } from '../servers/http-server.ts'

const requestBody = z.strictObject({
  regulation: z.enum(['gdpr', 'ccpa']),
  subject_request_id: z
    .string()
    .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
  subject_request_type: z.literal('erasure'),
  subject_identities: z
    .array(
      z.strictObject({ identity_type: z.string(), identity_value: z.string(), identity_format: z.string() }),
    )
    .min(1),
  submitted_time: z.iso.datetime(),
  api_version: z.literal('3.0'),
})

export type DsrStatus = 'pending' | 'in_progress' | 'completed' | 'cancelled'

export interface OpendsrProcessor extends HttpServer {
  publicKey: string
  /** Whom it knows, by address. */
  profiles: Set<string>
  requests: Map<string, { emails: string[]; status: DsrStatus }>
  /** Requests for these are answered 400. */
  refused: Set<string>
  /** Completed without anything removed. */
  lied: Set<string>
  asked: Asked[]
  /** All that is under way is completed. */
  settle(): void
  /** Instead of the usual answer, which it gets; null ends the connection. */
  rewrite?: ((asked: Asked, usual: Reply) => Reply | null) | undefined
  signWith: KeyObject
  reset(): void
}

export const authorization = 'Basic test'

export async function startOpendsrProcessor(): Promise<OpendsrProcessor> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

  const signed = (status: number, body: unknown): Reply => {
    const text = JSON.stringify(body)
    const signature = sign('sha256', Buffer.from(text), processor.signWith).toString('base64')
    return {
      status,
      headers: {
        'content-type': 'application/json',
        'x-opendsr-processor-domain': '127.0.0.1',
        'x-opendsr-signature': signature,
      },
      body: text,
    }
  }
  const times = { controller_id: 'controller-1', expected_completion_time: '2027-01-01T00:00:00Z' }

  const server = await startHttp((asked) => {
    processor.asked.push(asked)
    const usual = usualAnswer(asked)
    return processor.rewrite === undefined ? usual : processor.rewrite(asked, usual)
  })

  function usualAnswer({ method, path, headers, body }: Asked): Reply {
    const url = new URL(path, 'http://x')
    if (headers.authorization !== authorization) return json(401, { error: { code: 401 } })
    if (url.pathname === '/profiles') {
      const known = processor.profiles.has(url.searchParams.get('email') ?? '')
      return json(known ? 200 : 404, {})
    }
    if (path === '/v3/discovery')
      return json(200, {
        api_version: '3.0',
        supported_identities: [{ identity_type: 'email', identity_format: 'raw' }],
        supported_subject_request_types: ['erasure'],
        processor_certificate: 'https://127.0.0.1/cert.pem',
      })
    if (method === 'POST' && path === '/v3/requests') {
      const request = requestBody.parse(JSON.parse(body))
      const id = request.subject_request_id
      const emails = request.subject_identities.map(({ identity_value: value }) => value)
      // Some processors quote the request where they refuse it.
      if (processor.requests.has(id) || emails.some((email) => processor.refused.has(email)))
        return json(400, { error: { code: 400, message: body } })
      processor.requests.set(id, { emails, status: 'pending' })
      for (const email of emails) if (!processor.lied.has(email)) processor.profiles.delete(email)
      const encoded = Buffer.from(body).toString('base64')
      return signed(201, {
        ...times,
        received_time: '2026-12-01T00:00:00Z',
        encoded_request: encoded,
        subject_request_id: id,
      })
    }
    const id = /^\/v3\/requests\/(.+)$/.exec(path)?.[1] ?? ''
    const request = processor.requests.get(id)
    if (method !== 'GET' || request === undefined) return json(404, { error: { code: 404 } })
    return signed(200, { ...times, subject_request_id: id, request_status: request.status })
  }

  const processor: OpendsrProcessor = {
    ...server,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    profiles: new Set(),
    requests: new Map(),
    refused: new Set(),
    lied: new Set(),
    asked: [],
    signWith: privateKey,
    settle() {
      for (const request of processor.requests.values())
        if (request.status !== 'cancelled') request.status = 'completed'
    },
    reset() {
      for (const set of [processor.profiles, processor.requests, processor.refused, processor.lied])
        set.clear()
      processor.asked = []
      processor.rewrite = undefined
      processor.signWith = privateKey
    },
  }
  return processor
}
