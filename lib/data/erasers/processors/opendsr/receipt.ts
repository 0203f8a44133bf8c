/**
 * Receipts and states of requests, each signed by the processor over the bytes as they came.
 * https://github.com/opengdpr/OpenDSR/blob/master/specification.md, sections 4, 7.3 and 8.3
 */
import { createPublicKey, verify, X509Certificate, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson, readJson } from '../../../../base/canonical/index.ts'
import { LetheError } from '../../../../base/errors/index.ts'
import type { HttpAnswer } from '../../../../base/calls/index.ts'

export interface Processor {
  store: string
  /** Host of its address: what it signs for. */
  host: string
  certificate: X509Certificate | null
  key: KeyObject
  /** Whose requests these are there; null: not checked. */
  controllerId: string | null
}

const instant = z.iso.datetime({ offset: true })
const receiptBody = z.looseObject({
  controller_id: z.string(),
  subject_request_id: z.string(),
  encoded_request: z.string(),
  expected_completion_time: instant.nullish(),
})
const statusBody = z.looseObject({
  controller_id: z.string(),
  subject_request_id: z.string(),
  request_status: z.enum(['pending', 'in_progress', 'completed', 'cancelled']),
  expected_completion_time: instant.nullish(),
})

export type RequestStatus = z.infer<typeof statusBody>['request_status']

export interface RequestState {
  status: RequestStatus
  expectedAt: Date | null
}

/** PEM of a certificate or of a public key, RSA or EC. Throws E_CONFIG. */
export function processorKey(pem: string, store: string): Pick<Processor, 'certificate' | 'key'> {
  try {
    const certificate = pem.includes('BEGIN CERTIFICATE') ? new X509Certificate(pem) : null
    return { certificate, key: certificate?.publicKey ?? createPublicKey(pem) }
  } catch {
    throw new LetheError('E_CONFIG', {
      message: `The certificate of ${store} is no PEM of a certificate or a public key.`,
    })
  }
}

/** Throws E_STORE_REFUSED where the receipt isn't the processor's own, or is for something else than what was sent. */
export function checkReceipt(
  processor: Processor,
  answer: HttpAnswer,
  id: string,
  sent: unknown,
): RequestState {
  const { encoded_request: encoded, ...receipt } = readSigned(processor, answer, id, receiptBody)
  const echoed = readJson(Buffer.from(encoded, 'base64').toString())
  if (canonicalJson(echoed ?? null) !== canonicalJson(sent))
    throw strange(processor, 'is for another request')
  return { status: 'pending', expectedAt: dateOf(receipt.expected_completion_time) }
}

/** Throws as checkReceipt. */
export function checkStatus(processor: Processor, answer: HttpAnswer, id: string): RequestState {
  const state = readSigned(processor, answer, id, statusBody)
  return { status: state.request_status, expectedAt: dateOf(state.expected_completion_time) }
}

/** Nothing is parsed before its signature holds. */
function readSigned<T extends { controller_id: string; subject_request_id: string }>(
  processor: Processor,
  { headers, text, body }: HttpAnswer,
  id: string,
  schema: z.ZodType<T>,
): T {
  const signature = headers.get('x-opendsr-signature') ?? headers.get('x-opengdpr-signature')
  if (signature === null) throw strange(processor, 'is not signed')
  const domain = headers.get('x-opendsr-processor-domain') ?? headers.get('x-opengdpr-processor-domain') ?? ''
  if (domain.toLowerCase() !== processor.host) throw strange(processor, 'is signed for another domain')
  const bytes = Buffer.from(signature.replaceAll(/\s/g, ''), 'base64')
  if (!verify('sha256', Buffer.from(text), processor.key, bytes))
    throw strange(processor, 'has a signature that its certificate does not match')
  const parsed = schema.safeParse(body)
  if (!parsed.success) throw strange(processor, "is not the protocol's")
  if (parsed.data.subject_request_id !== id) throw strange(processor, 'is for another request')
  if (processor.controllerId !== null && parsed.data.controller_id !== processor.controllerId)
    throw strange(processor, 'is for another controller')
  return parsed.data
}

function strange({ store }: Processor, why: string): LetheError {
  return new LetheError('E_STORE_REFUSED', {
    message: `The processor ${store} gave an answer that ${why}; it was not used.`,
    left: 'Whether the processor took the request is not known; the same request is sent again, under the same id.',
    next: "Compare the store's certificate, address and controller with what the processor publishes.",
    facts: { store },
  })
}

function dateOf(text: string | null | undefined): Date | null {
  return typeof text === 'string' ? new Date(text) : null
}
