/**
 * SendGrid: what it keeps of sent mail, marketing contacts, and suppressions.
 * Follows twilio.com/docs/sendgrid/api-reference: Recipients' Data Erasure, Contacts, Suppressions.
 */
import { z } from 'zod'
import type { Eraser } from '../../eraser.ts'
import { addressesOf } from './addresses.ts'
import { askSendgrid, type SendgridSide } from './client.ts'
import { searchContacts } from './contacts.ts'
import { eraseAddresses } from './erase.ts'
import { missing } from './mail.ts'
import type { SendgridEraserOptions, SendgridPlan } from './plan.ts'
import { suppressionsOf } from './suppressions.ts'
import { locateAddresses, verifyAddresses } from './verify.ts'

/** Nobody's: .invalid never resolves. */
const NOBODY = 'probe@lethe.invalid'
const scopes = z.object({ scopes: z.array(z.string()) })

/**
 * Needs a key with the scopes recipients.erasejob.create and, to read and to delete, those of marketing contacts and of
 * suppressions. One account or subuser an eraser: nothing here reaches from one to another.
 */
export function sendgridEraser(options: SendgridEraserOptions): Eraser<SendgridPlan> {
  const { store, pace, patience, deleteSuppressions = [] } = options
  const side: SendgridSide = {
    store,
    vendor: 'SendGrid',
    pace,
    options,
    patience,
  }
  return {
    store,
    capabilities: {
      // What one search takes. Suppressions are looked up one address at a time, six calls each.
      bulk: 100,
      // Erasure jobs have a limit of 100 a minute: with the look-ups that each of them needs this rate stays below.
      ratePerMinute: 600,
      reversible: false,
      verifiable: true,
      sideEffects: [
        'what SendGrid keeps of sent mail (addresses, subject lines, IP addresses) is erased by a job that cannot be read back: its id is the evidence',
        'statistics by recipient and the event history of the address are lost',
        'a contact is deleted from every list and segment, and automations for it end',
        options.subuser === undefined
          ? 'subusers keep what they hold: each needs a store of its own'
          : "the subuser's marketing contacts are not reached: they need a store with a key of the subuser's own",
        deleteSuppressions.length === 0
          ? 'suppressions keep the address, so that no mail goes to it again'
          : `the address is deleted from ${deleteSuppressions.join(', ')}: mail to it is sent again, also where the person had unsubscribed`,
      ],
      irreversibleAfter: 'the call',
      settleSeconds: 60,
      follows: 'SendGrid v3, OpenAPI of 2026-01',
    },
    async probe(_plan, signal) {
      const ask = { method: 'GET', path: '/v3/scopes' } as const
      const answer = await askSendgrid(side, 'read the scopes of the key', ask, scopes, signal)
      if (answer?.scopes.includes('recipients.erasejob.create') !== true) throw missing(side)
      await searchContacts(side, [NOBODY], signal)
      await suppressionsOf(side, NOBODY, signal)
    },
    locate: (subjects, plan, signal) => locateAddresses(side, subjects, plan, signal),
    async erase(subjects, plan, page, signal) {
      signal.throwIfAborted()
      return eraseAddresses(side, addressesOf(subjects, plan), page, signal)
    },
    verify: (subjects, plan, signal) => verifyAddresses(side, subjects, plan, signal),
  }
}
