/** A receipt with something in each of its parts, and keys to sign it with. */
import { randomBytes } from 'node:crypto'
import { signerFromSeed, type SignerKey } from '../../../lib/record/evidence/index.ts'
import type { Receipt, ReceiptLeg } from '../../../lib/record/receipt/index.ts'

export function createSigner(origin = 'log.example/lethe'): SignerKey {
  return signerFromSeed(origin, 'note', randomBytes(32))
}

export function sampleLeg(change: Partial<ReceiptLeg> = {}): ReceiptLeg {
  return {
    store: 'app',
    kind: 'postgres',
    location: 'eu-central-1',
    requested: '2026-11-21T03:30:00Z',
    accepted: '2026-11-21T03:30:05Z',
    verified: '2026-11-21T03:31:00Z',
    state: 'verified',
    declaredBy: null,
    counts: { 'public.patients': 1, 'public.messages': 240 },
    pseudonymised: {},
    detached: {},
    sharedWith: 1,
    atLeast: false,
    retained: [],
    left: {},
    acceptedBy: null,
    backup: null,
    sideEffects: [],
    ...change,
  }
}

export function sampleReceipt(change: Partial<Receipt> = {}): Receipt {
  return {
    lethe: 1,
    type: 'erasure-receipt',
    request: '0b8f5a52-6a0c-4d2e-9a39-7f7b8f1f3c11',
    kind: 'article-17',
    ground: 'Art. 17(1)(b): consent withdrawn',
    requester: 'support',
    subject: { kind: 'patient', hash: 'a3'.repeat(32), keyId: 'k-2026-01' },
    identity: { method: 'confirm-link', at: '2026-11-20T09:12:00Z' },
    received: '2026-11-20T09:00:00Z',
    due: '2026-12-20T09:00:00Z',
    extended: null,
    finished: '2026-11-22T04:00:00Z',
    outcome: 'completed-with-left',
    refusal: null,
    map: '4f'.repeat(32),
    plan: '7c'.repeat(32),
    decisions: [
      {
        class: 'Clinical records',
        decision: 'retain',
        ground: 'Art. 17(3)(c): records of care, 8 years',
        until: '2034-05-01T00:00:00Z',
        by: 'records-officer',
      },
      { class: 'Marketing contacts', decision: 'erase', ground: null, until: null, by: 'policy' },
    ],
    accessEnded: [{ store: 'cache', counts: { sessions: 3 }, sharedWith: 1 }],
    legs: [
      sampleLeg({
        state: 'retained',
        pseudonymised: { 'public.appointments': 12 },
        detached: { 'public.notes': 2 },
        retained: [
          {
            place: 'public.appointments',
            count: 12,
            ground: 'Records of care, 8 years',
            until: '2034-05-01T00:00:00Z',
          },
          { place: 'public.invoices', count: 1, ground: 'Open claim', until: null },
        ],
        backup: { until: '2026-12-22T03:00:00Z', basis: 'measured' },
      }),
      sampleLeg({
        store: 'uploads',
        kind: 's3',
        counts: { 'clinic-uploads': 37 },
        sharedWith: 12,
        backup: { until: null, basis: 'declared' },
      }),
      sampleLeg({
        store: 'mail',
        kind: 'sendgrid',
        location: null,
        verified: null,
        state: 'accepted',
        counts: { contacts: 1 },
        sideEffects: ['The address can be written to again only after it signs up anew.'],
      }),
      sampleLeg({
        store: 'crm',
        kind: 'salesforce',
        accepted: null,
        verified: null,
        state: 'accepted-as-failed',
        counts: {},
        left: { Contact: 1, 'Contact history': 3 },
        acceptedBy: { name: 'records-officer', statement: 'e1'.repeat(32) },
      }),
      sampleLeg({
        store: 'archive',
        kind: 'declared',
        location: null,
        requested: null,
        accepted: null,
        verified: null,
        state: 'declared',
        declaredBy: 'head of support',
        counts: {},
        retained: [
          {
            place: 'recordings of calls',
            count: 1,
            ground: 'declared by head of support: gone 90 days after the request',
            until: '2027-02-19T00:00:00Z',
          },
        ],
      }),
      sampleLeg({
        store: 'search',
        kind: 'opensearch',
        location: null,
        accepted: null,
        verified: null,
        state: 'not-needed',
        counts: {},
      }),
    ],
    recipients: [
      { name: 'Northside Laboratory', told: '2026-11-22T03:50:00Z' },
      { name: 'City Pharmacy', told: null },
    ],
    ledger: { entries: 4, objects: 1 },
    ...change,
  }
}
