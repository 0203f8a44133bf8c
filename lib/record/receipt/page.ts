/**
 * A receipt as one page for people: no script, nothing loaded from anywhere. It keeps apart what is so often one word: asked
 * for, accepted, read back as absent, kept on a ground, still in backups, told to others, not erased. It proves nothing by
 * itself; the signed file does, and the page names its hash.
 */
import { total } from '../../base/counts/index.ts'
import { html, type Html } from './html.ts'
import type { Outcome, Receipt, ReceiptLeg } from './schema.ts'
import { receiptHash } from './sign.ts'
import { STYLE, STYLE_HASH } from './style.ts'
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

/** A whole HTML document; whatever the receipt holds stands in it as text. */
export function renderReceipt(receipt: Receipt): string {
  const title = `Erasure receipt ${receipt.request}`
  const policy = `default-src 'none'; style-src '${STYLE_HASH}'; base-uri 'none'; form-action 'none'`
  const head = html`<meta charset="utf-8" />
    <meta http-equiv="Content-Security-Policy" content="${policy}" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="referrer" content="no-referrer" />
    <meta name="robots" content="noindex" />
    <title>${title}</title>`
  const sections = [
    summary(receipt),
    progress(receipt),
    notErased(receipt),
    kept(receipt),
    erased(receipt),
    changed(receipt, 'pseudonymised'),
    changed(receipt, 'detached'),
    ended(receipt),
    backups(receipt),
    recipients(receipt),
    decided(receipt),
    sideEffects(receipt),
    evidence(receipt),
  ]
  // The style stands outside the template: its hash is of these very bytes.
  return `<!doctype html>
<html lang="en">
<head>
${head.toString()}
<style>${STYLE}</style>
</head>
<body>
<main>
${sections.join('\n')}
</main>
</body>
</html>
`
}

const tones: Readonly<Record<Outcome, string>> = {
  completed: 'good',
  'completed-with-retained': 'kept',
  'completed-with-left': 'bad',
  'nothing-found': 'good',
  refused: 'plain',
  cancelled: 'plain',
}

const legTones: Readonly<Record<ReceiptLeg['state'], string>> = {
  'not-needed': 'plain',
  verified: 'good',
  retained: 'kept',
  declared: 'kept',
  accepted: 'plain',
  'accepted-as-failed': 'bad',
}

function summary(receipt: Receipt): Html {
  const { outcome, subject, identity, refusal, extended } = receipt
  const { short, long } = outcomes[outcome]
  const facts: [string, Html][] = [
    ['Request', html`<code>${receipt.request}</code>`],
    ['Kind', html`${kinds[receipt.kind]}`],
    ['Ground', html`${receipt.ground}`],
    ['Asked by', html`${receipt.requester}`],
    [
      'Data subject',
      html`${subject.kind}, keyed hash <code>${subject.hash}</code> (key <code>${subject.keyId}</code>)`,
    ],
    [
      'Identity',
      identity === null
        ? html`no check was needed`
        : html`confirmed by ${identity.method}, ${time(identity.at)}`,
    ],
    ['Received', time(receipt.received)],
    [
      'Due',
      extended === null ? time(receipt.due) : html`${time(receipt.due)}, extended until ${time(extended)}`,
    ],
    ['Ended', time(receipt.finished)],
    ...(refusal === null ? [] : [['Refused because', html`${refusal.ground}`] satisfies [string, Html]]),
  ]
  return html`<header>
    <h1>Erasure receipt</h1>
    <p class="outcome ${tones[outcome]}"><strong>${short}</strong> ${long}</p>
    ${list(facts)}
  </header>`
}

function progress({ legs }: Receipt): Html {
  if (legs.length === 0)
    return section('progress', 'Store by store', html`<p>No store was asked to erase anything.</p>`)
  return section(
    'progress',
    'Store by store',
    html`<p>Accepted means that the other side said yes. Read back means that it was searched afterwards.</p>
      ${table(
        'progress',
        ['Store', 'Result', 'Asked', 'Accepted', 'Read back'],
        legs.map(
          (leg) =>
            html`<tr>
              ${storeCell(leg)}
              <td class="tone ${legTones[leg.state]}">${result(leg)}</td>
              <td>${leg.requested === null ? withoutInstant(leg, 'requested') : time(leg.requested)}</td>
              <td>${leg.accepted === null ? withoutInstant(leg, 'accepted') : time(leg.accepted)}</td>
              <td>${leg.verified === null ? withoutInstant(leg, 'verified') : time(leg.verified)}</td>
            </tr>`,
        ),
      )}`,
  )
}

function result({ state, declaredBy }: ReceiptLeg): string {
  return declaredBy === null ? states[state] : `${states[state]}; ${declaredBy} answers for it`
}

function notErased({ legs }: Receipt): Html {
  const failed = legs.filter(({ acceptedBy, left }) => acceptedBy !== null || total(left) > 0)
  if (failed.length === 0)
    return section('left', 'Not erased', html`<p>Nothing is known to be left that should be gone.</p>`)
  const rows = failed.flatMap((leg) => {
    const found = places(leg.left)
    const by = leg.acceptedBy
    const accepted =
      by === null
        ? html`nobody`
        : html`${by.name}<br /><span class="soft">signed statement <code>${by.statement}</code></span>`
    return (found.length === 0 ? [['unknown', null] as const] : found).map(
      ([place, count]) =>
        html`<tr>
          ${nameCell(leg.store)}
          <td>${place}</td>
          <td class="number">${count ?? '?'}</td>
          <td>${accepted}</td>
        </tr>`,
    )
  })
  return section(
    'left',
    'Not erased',
    html`<p>
        This is still there, or it could not be made sure that it is gone. The person named let the request
        end all the same.
      </p>
      ${table('left', ['Store', 'Place', '#Items', 'Accepted by'], rows)}`,
  )
}

function kept({ legs }: Receipt): Html {
  const rows = legs.flatMap((leg) =>
    leg.retained.map(
      ({ place, count, ground, until }) =>
        html`<tr>
          ${nameCell(leg.store)}
          <td>${place}</td>
          <td class="number">${count}</td>
          <td>${ground}</td>
          <td>${until === null ? 'as long as the ground lasts' : time(until)}</td>
        </tr>`,
    ),
  )
  return section(
    'kept',
    'Kept, and why',
    rows.length === 0
      ? html`<p>Nothing is kept.</p>`
      : table('kept', ['Store', 'Place', '#Items', 'Ground', 'Until'], rows),
  )
}

function erased({ legs }: Receipt): Html {
  const rows = legs.flatMap((leg) => itemRows(leg, leg.counts))
  return rows.length === 0
    ? section('erased', fates.counts.title, html`<p>Nothing was erased.</p>`)
    : itemSection('erased', fates.counts, rows)
}

function changed({ legs }: Receipt, fate: 'pseudonymised' | 'detached'): Html {
  const rows = legs.flatMap((leg) => itemRows(leg, leg[fate]))
  return rows.length === 0 ? html`` : itemSection(fate, fates[fate], rows)
}

function ended({ accessEnded: all }: Receipt): Html {
  const rows = all.flatMap((one) => itemRows(one, one.counts))
  return rows.length === 0 ? html`` : itemSection('access', accessEnded, rows)
}

function itemRows(from: Pick<ReceiptLeg, 'store'> & Counted, counts: ReceiptLeg['counts']): Html[] {
  return places(counts).map(
    ([place, count]) =>
      html`<tr>
        ${nameCell(from.store)}
        <td>${place}</td>
        <td>${itemsWord(from, count)}</td>
      </tr>`,
  )
}

function itemSection(id: string, words: { title: string; intro: string }, rows: readonly Html[]): Html {
  return section(
    id,
    words.title,
    html`<p>${words.intro}</p>
      ${table(id, ['Store', 'Place', 'Items'], rows)}`,
  )
}

function backups({ legs }: Receipt): Html {
  const rows = legs.flatMap((leg) =>
    leg.backup === null
      ? []
      : [
          html`<tr>
            ${nameCell(leg.store)}
            <td>${leg.backup.until === null ? 'not known' : time(leg.backup.until)}</td>
            <td>${bases[leg.backup.basis]}</td>
          </tr>`,
        ],
  )
  return section(
    'backups',
    'Still in backups',
    rows.length === 0
      ? html`<p>No backup is known to hold the erased data.</p>`
      : html`<p>
            Should such a backup be restored before it expires, the erasure is repeated on what was restored.
          </p>
          ${table('backups', ['Store', 'Until', 'Known from'], rows)}`,
  )
}

function recipients({ recipients }: Receipt): Html {
  const rows = recipients.map(
    ({ name, told }) =>
      html`<tr>
        ${nameCell(name)}
        <td>${told === null ? 'not told' : time(told)}</td>
      </tr>`,
  )
  return section(
    'recipients',
    'Recipients told',
    rows.length === 0
      ? html`<p>The erasure had to be passed on to nobody.</p>`
      : table('recipients', ['Recipient', 'Told'], rows),
  )
}

function decided({ decisions: made }: Receipt): Html {
  if (made.length === 0) return html``
  const rows = made.map(
    (one) =>
      html`<tr>
        ${nameCell(one.class)}
        <td>${decisions[one.decision]}</td>
        <td>${one.ground ?? ''}</td>
        <td>${one.until === null ? '' : time(one.until)}</td>
        <td>${one.by}</td>
      </tr>`,
  )
  return section(
    'decisions',
    'Decisions',
    table('decisions', ['Data', 'Decision', 'Ground', 'Until', 'By'], rows),
  )
}

function sideEffects({ legs }: Receipt): Html {
  const rows = legs.flatMap((leg) =>
    leg.sideEffects.map(
      (effect) =>
        html`<tr>
          ${nameCell(leg.store)}
          <td>${effect}</td>
        </tr>`,
    ),
  )
  return rows.length === 0
    ? html``
    : section('effects', 'Side effects', table('effects', ['Store', 'What follows'], rows))
}

function evidence(receipt: Receipt): Html {
  const { entries, objects } = receipt.ledger
  const facts: [string, Html][] = [
    ['Data map', html`<code>${receipt.map}</code>`],
    ['Plan', html`<code>${receipt.plan}</code>`],
    [
      'Erasure ledger',
      html`${entries} ${entries === 1 ? 'entry' : 'entries'}, ${objects}
      ${objects === 1 ? 'object' : 'objects'} in the locked bucket`,
    ],
    ['Receipt', html`SHA-256 <code>${receiptHash(receipt)}</code>`],
  ]
  return section(
    'evidence',
    'Evidence',
    html`<p>
        This page is for reading. What counts is the signed file it was made from; anybody checks it offline
        with the public key, and finds the same hash:
      </p>
      <pre><code>lethe erasure receipt verify FILE --key KEYS</code></pre>
      ${list(facts)}`,
  )
}

function section(id: string, title: string, content: Html): Html {
  return html`<section aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    ${content}
  </section>`
}

/** A column whose title begins with # holds numbers. A wide table scrolls by itself, by keyboard too. */
function table(label: string, columns: readonly string[], rows: readonly Html[]): Html {
  const titles = columns.map((title) =>
    title.startsWith('#')
      ? html`<th scope="col" class="number">${title.slice(1)}</th>`
      : html`<th scope="col">${title}</th>`,
  )
  return html`<div class="scroll" role="region" aria-labelledby="${label}" tabindex="0">
    <table aria-labelledby="${label}">
      <thead>
        <tr>
          ${titles}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`
}

function list(facts: readonly (readonly [string, Html])[]): Html {
  return html`<dl>
    ${facts.map(
      ([name, value]) =>
        html`<dt>${name}</dt>
          <dd>${value}</dd>`,
    )}
  </dl>`
}

function storeCell({ store, kind, location }: ReceiptLeg): Html {
  return html`<th scope="row">${store}<span>${location === null ? kind : `${kind}, ${location}`}</span></th>`
}

function nameCell(name: string): Html {
  return html`<th scope="row">${name}</th>`
}

/** Breaks between day and time at most. */
function time(iso: string): Html {
  const [day = '', ...rest] = instantText(iso).split(' ')
  return html`<time datetime="${iso}"
    ><span class="whole">${day}</span> <span class="whole">${rest.join(' ')}</span></time
  >`
}
