/** What is erased at SendGrid, and how it is reached. */
import type { Side } from '../../../../base/calls/index.ts'

export interface SendgridPlan {
  /** The identifier that holds the subject's addresses: "email". */
  email: string
}

/** Lists of addresses that SendGrid doesn't send to. */
export type SuppressionKind =
  'unsubscribes' | 'group_unsubscribes' | 'spam_reports' | 'bounces' | 'blocks' | 'invalid_emails'

export interface SendgridEraserOptions extends Pick<Side, 'pace' | 'patience'> {
  /** The store's name in the map. */
  store: string
  apiKey: string
  /** "eu": an account or subuser whose data stands in the EU. */
  region?: 'global' | 'eu'
  /** User name of a subuser: erasure jobs of the account above don't reach it. Its contacts need a key of its own. */
  subuser?: string
  /** Lists from which an address is deleted. All others keep it, since without it mail would go out again. */
  deleteSuppressions?: readonly SuppressionKind[]
  /** In place of SendGrid's own, without a slash at its end. */
  baseUrl?: string
}
