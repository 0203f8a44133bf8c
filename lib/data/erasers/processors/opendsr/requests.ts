/** One request of erasure for each subject, under an id that the same run makes again. */
import { createHash, createHmac } from 'node:crypto'
import { canonicalJson } from '../../../../base/canonical/index.ts'
import type { SubjectRef } from '../../eraser.ts'
import { valuesIn } from '../../../datamap/index.ts'

export interface OpendsrPlan {
  /** What is sent of a subject; one who has none of these is not sent. */
  identities: readonly IdentityRule[]
}

export interface IdentityRule {
  /** The protocol's word: "email", "controller_customer_id", "android_advertising_id", … */
  type: string
  format: 'raw' | 'sha256'
  /** The identifier's name. */
  from: string
}

export interface Identity {
  identity_type: string
  identity_value: string
  identity_format: string
}

export function identitiesOf(subject: SubjectRef, plan: OpendsrPlan): Identity[] {
  const identifiers = subject.identifiers
  return plan.identities.flatMap(({ type, format, from }) =>
    valuesIn(identifiers, from).map((value) => ({
      identity_type: type,
      identity_value: format === 'raw' ? value : createHash('sha256').update(value).digest('hex'),
      identity_format: format,
    })),
  )
}

/**
 * A UUID of version 4 in form, as the protocol asks for, and the same one for the same run and identities. Keyed: it is
 * recorded, and nobody may find out by trying whose it is.
 */
export function requestId(key: string, runId: string, identities: readonly Identity[]): string {
  const hash = createHmac('sha256', key).update(canonicalJson({ runId, identities })).digest()
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x40, 6)
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = hash.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  )
}
