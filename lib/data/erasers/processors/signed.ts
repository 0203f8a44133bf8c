/** Signed posts to an address that a team typed in, with what leads to a person in them. */
import { wallClock } from '../../../base/clock/index.ts'
import { webhookHeaders, webhookKey } from '../../../base/webhooks/index.ts'
import type { SubjectRef } from '../eraser.ts'
import { valuesIn } from '../../datamap/index.ts'
import { type HttpAnswer, type Side, requestVendor } from '../../../base/calls/index.ts'
import { checkAddress, guardedSend } from './guarded.ts'

export interface SignedOptions extends Pick<Side, 'pace' | 'patience'> {
  /** The store's name in the map. */
  store: string
  url: string
  /** Base64 of 24 to 64 bytes, with or without `whsec_` before it. */
  secret: string
  /** Also plain HTTP, this machine and private networks. */
  allowPrivate?: boolean
}

/** `id` is the message's, however often it is tried; `what` says what is done, without naming anyone. Throws as requestVendor. */
export type Post = (
  id: string,
  what: string,
  message: { type: string; data: object },
  signal: AbortSignal,
) => Promise<HttpAnswer>

/** `vendor`: who answers, for messages. Throws E_CONFIG for a secret that is too short and an address that may not be called. */
export function signedPosts(vendor: string, options: SignedOptions): Post {
  const { store, url, pace, patience, allowPrivate = false } = options
  const guard = { store, allowPrivate }
  const baseUrl = checkAddress(url, guard).href
  const key = webhookKey(options.secret, `The secret of ${store}`)
  const plainSend = guardedSend(guard)
  const side = { store, vendor, pace, baseUrl, headers: {}, patience }
  return (id, what, { type, data }, signal) =>
    requestVendor(
      {
        ...side,
        // each try has its own time, and so its own signature
        send: (address, init) => {
          const signed = webhookHeaders(key, { id, at: wallClock(), body: init.body ?? '' })
          return plainSend(address, { ...init, headers: { ...init.headers, ...signed } })
        },
      },
      what,
      { method: 'POST', path: '', body: { type, timestamp: wallClock().toISOString(), data } },
      signal,
    )
}

export interface SentSubject {
  kind: string
  /** Values by name, only those that the plan names. */
  identifiers: Record<string, readonly string[]>
}

export interface Sending {
  /** The identifiers that are sent, and no others. */
  sends: readonly string[]
}

/** Null: nothing is known that could lead to the subject there. */
export function sentOf(subject: SubjectRef, plan: Sending): SentSubject | null {
  const known = subject.identifiers
  const identifiers = Object.fromEntries(
    plan.sends.flatMap((name) => {
      const values = valuesIn(known, name)
      return values.length === 0 ? [] : [[name, [...values]] as const]
    }),
  )
  return Object.keys(identifiers).length === 0 ? null : { kind: subject.kind, identifiers }
}
