/** What is erased at Stripe, and how it is reached. */
import type { Side } from '../../../../base/calls/index.ts'

/** At least one of them; a customer that both lead to is one. */
export interface StripePlan {
  /** The identifier that holds Stripe's own ids of customers: "stripe_customer". */
  customer?: string
  /** The identifier that holds addresses under which customers are looked for: "email". */
  email?: string
}

export interface StripeEraserOptions extends Pick<Side, 'pace' | 'patience'> {
  /** The store's name in the map. */
  store: string
  apiKey: string
  /** A connected account: only its customers are seen then. */
  account?: string
  /**
   * Redacts in place of deleting: the customer with payments, invoices and logs. In public preview, not on every
   * account, and for good: a redacted payment can't be refunded and its disputes are lost. Off by default.
   */
  redaction?: boolean
  /**
   * Customers are looked for by address: what stays of one that was found so is told by the call that deletes it and never
   * again, so each call is about one subject.
   */
  byAddress?: boolean
  /** What a redaction job does about an open invoice, an unused payment and the like: say so, or settle it where it can. */
  validation?: 'error' | 'fix'
  /**
   * Looks for addresses in whatever case they were written, by search beside the exact listing. On by default; off for
   * accounts that have no search (India).
   */
  search?: boolean
  /** In place of Stripe's own: "http://127.0.0.1:12111". */
  baseUrl?: string
}
