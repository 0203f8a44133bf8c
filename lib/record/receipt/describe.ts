/** A receipt for a terminal: the same parts in the same order as the page. */
import { total } from '../../base/counts/index.ts'
import { visible } from './atoms.ts'
import type { Receipt, ReceiptLeg } from './schema.ts'
import { receiptHash } from './sign.ts'
import {
  accessEnded,
  bases,
  decisions,
  fates,
  instantText,
  itemsWord,
  kinds,
  outcomes,
  places,
  states,
  withoutInstant,
  type Counted,
} from './words.ts'

/** Plain text of lines, without a colour or an escape of its own or of what the receipt holds. */
export function describeReceipt(receipt: Receipt): string {
  const { legs } = receipt
  const parts: [string, string[]][] = [
    ['', summary(receipt)],
    ['Store by store', legs.flatMap(progress)],
    ['NOT ERASED', legs.flatMap(notErased)],
    ['Kept, and why', legs.flatMap(kept)],
    [fates.counts.title, legs.flatMap((leg) => items(leg, leg.counts))],
    [fates.pseudonymised.title, legs.flatMap((leg) => items(leg, leg.pseudonymised))],
    [fates.detached.title, legs.flatMap((leg) => items(leg, leg.detached))],
    [accessEnded.title, receipt.accessEnded.flatMap((one) => items(one, one.counts))],
    ['Still in backups', legs.flatMap(backup)],
    [
      'Recipients told',
      receipt.recipients.map(
        ({ name, told }) => `${name}: ${told === null ? 'NOT TOLD' : instantText(told)}`,
      ),
    ],
    ['Decisions', receipt.decisions.map(decision)],
    ['Side effects', legs.flatMap((leg) => leg.sideEffects.map((effect) => `${leg.store}: ${effect}`))],
    ['Evidence', evidence(receipt)],
  ]
  return parts
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) =>
      [
        ...(title === '' ? [] : [title]),
        ...lines.map((line) => (title === '' ? visible(line) : `  ${visible(line)}`)),
      ].join('\n'),
    )
    .join('\n\n')
}

function summary(receipt: Receipt): string[] {
  const { outcome, subject, identity, refusal, extended } = receipt
  return [
    `${outcomes[outcome].short}: ${receipt.request}`,
    outcomes[outcome].long,
    ...aligned([
      ['kind', kinds[receipt.kind]],
      ['ground', receipt.ground],
      ['asked by', receipt.requester],
      ['data subject', `${subject.kind}, keyed hash ${subject.hash} (key ${subject.keyId})`],
      [
        'identity',
        identity === null
          ? 'no check was needed'
          : `confirmed by ${identity.method}, ${instantText(identity.at)}`,
      ],
      ['received', instantText(receipt.received)],
      [
        'due',
        extended === null
          ? instantText(receipt.due)
          : `${instantText(receipt.due)}, extended until ${instantText(extended)}`,
      ],
      ['ended', instantText(receipt.finished)],
      ...(refusal === null ? [] : [['refused because', refusal.ground] satisfies Fact]),
    ]),
  ]
}

function progress(leg: ReceiptLeg): string[] {
  const { store, kind, location, requested, accepted, verified, state, declaredBy } = leg
  const title = `${store} (${location === null ? kind : `${kind}, ${location}`}): ${states[state]}`
  if (declaredBy !== null) return [title, ...aligned([['  answered for by', declaredBy]])]
  return [
    title,
    ...aligned([
      ['  asked', requested === null ? withoutInstant(leg, 'requested') : instantText(requested)],
      ['  accepted', accepted === null ? withoutInstant(leg, 'accepted') : instantText(accepted)],
      ['  read back', verified === null ? withoutInstant(leg, 'verified') : instantText(verified)],
    ]),
  ]
}

function notErased({ store, left, acceptedBy }: ReceiptLeg): string[] {
  if (acceptedBy === null && total(left) === 0) return []
  const found = places(left)
  const by =
    acceptedBy === null ? [] : [`  accepted by ${acceptedBy.name}, signed statement ${acceptedBy.statement}`]
  return found.length === 0
    ? [`${store}: unknown what is left`, ...by]
    : [...found.map(([place, count]) => `${store}, ${place}: ${number(count)}`), ...by]
}

function kept({ store, retained }: ReceiptLeg): string[] {
  return retained.map(
    ({ place, count, ground, until }) =>
      `${store}, ${place}: ${number(count)}, ${until === null ? 'as long as the ground lasts' : `until ${instantText(until)}`} (${ground})`,
  )
}

function items(from: Pick<ReceiptLeg, 'store'> & Counted, counts: ReceiptLeg['counts']): string[] {
  return places(counts).map(([place, count]) => `${from.store}, ${place}: ${itemsWord(from, count)}`)
}

function backup({ store, backup }: ReceiptLeg): string[] {
  if (backup === null) return []
  const until = backup.until === null ? 'until when is not known' : `until ${instantText(backup.until)}`
  return [`${store}: ${until} (from ${bases[backup.basis]})`]
}

function decision(one: Receipt['decisions'][number]): string {
  const ground = one.ground === null ? '' : `: ${one.ground}`
  const until = one.until === null ? '' : `, until ${instantText(one.until)}`
  return `${one.class}: ${decisions[one.decision]}${ground}${until}, by ${one.by}`
}

function evidence(receipt: Receipt): string[] {
  const { entries, objects } = receipt.ledger
  return aligned([
    ['data map', receipt.map],
    ['plan', receipt.plan],
    [
      'ledger',
      `${number(entries)} ${entries === 1 ? 'entry' : 'entries'}, ${number(objects)} ${objects === 1 ? 'object' : 'objects'} in the locked bucket`,
    ],
    ['receipt', `SHA-256 ${receiptHash(receipt)}`],
  ])
}

type Fact = readonly [name: string, value: string]

function aligned(facts: readonly Fact[]): string[] {
  const width = Math.max(...facts.map(([name]) => name.length))
  return facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
}

function number(count: number): string {
  return count.toLocaleString('en-GB')
}
