/** What support staff read. */
import type { Asked, ListedRequest, Preview, RequestStatus } from '../../jobs/erasure/index.ts'
import { total } from '../../lib/base/counts/index.ts'
import type { Created } from '../../lib/record/requests/index.ts'
import { count, instant, table } from './output.ts'

interface Requested {
  asked: Pick<Asked, 'identity'>
  /** Whether a row of the person is there, and in which store it would be. */
  present: boolean
  store: string
  /** What the open request was that it joined. */
  before: string
}

/** What became of a request that was written down just now. */
export function requestedText(made: Created, { asked, present, store, before }: Requested): string {
  const { id, joined, overCeiling } = made
  const words = [joined ? joining(made, before) : `Request ${id} is written down.`]
  if (overCeiling)
    words.push(
      `There were more requests today than the ceiling of whoever made them: somebody else approves it (lethe erasure approve ${id}).`,
    )
  else if (!joined && asked.identity === undefined)
    words.push(
      `Nothing is done before the person's identity is confirmed: lethe erasure confirm ${id} --method …`,
    )
  if (!present)
    words.push(
      `NO ROW OF SUCH A PERSON IS IN STORE ${store} NOW. It is carried through all the same: other stores are asked by what the key leads to, and the receipt says what was found. Was the key a slip: lethe erasure cancel ${id} --reason …`,
    )
  return words.join('\n')
}

function joining({ id, was, became }: Created, before: string): string {
  const until =
    was?.hasGrace === true && was.graceUntil !== null
      ? ` until ${was.graceUntil.toISOString().slice(0, 10)}`
      : ''
  const open = `Request ${id} was open for this person already: ${before}${until}.`
  if (became === 'raised')
    return `${open} This one is stronger and joined it: what it asks for holds now, without grace.`
  return became === 'waits'
    ? `${open} This one is stronger and waits: what it asks for holds once the person's identity is confirmed (lethe erasure confirm ${id} --method …); until then it stays what it was.`
    : `${open} This one joined it and changes nothing.`
}

/** Before whatever is said of the request that an application's id leads to. */
export function joinedText(id: string, joinedAs: string | null): string {
  return joinedAs === null ? '' : `${joinedAs} joined request ${id}, which was open for this person.\n`
}

export function statusText(
  { request, next, daysLeft, legs, askings, decisions, answers }: RequestStatus,
  bold: Bold,
): string {
  const lines = [
    bold(`Request ${request.id}: ${request.state}`),
    next,
    '',
    `${kinds[request.kind]}, a ${request.subjectKind}: asked for by ${requesters[request.requester]}, written down by ${request.actor}, ${instant(request.receivedAt)}.`,
    request.identityMethod === null
      ? 'Identity: not confirmed.'
      : `Identity confirmed: ${request.identityMethod}, by ${request.identityBy ?? '–'}, ${instant(request.identityAt)}.`,
    request.finishedAt === null
      ? `Answer due ${instant(request.dueAt)} (${daysLeft < 0 ? `${-daysLeft} days overdue` : `${daysLeft} days left`}${request.extendedAt === null ? '' : ', extended'}).`
      : `Ended ${instant(request.finishedAt)}.`,
  ]
  const ended = Object.entries(request.accessEnded)
  if (ended.length > 0)
    lines.push(
      '',
      table(
        ['ended when access was cut', 'where', 'items'],
        ended.flatMap(([store, { counts, shared }]) =>
          Object.entries(counts).map(([place, n]) => [store, place, removed({ [place]: n }, shared)]),
        ),
      ),
    )
  if (legs.length > 0)
    lines.push(
      '',
      table(
        ['store', 'kind', 'removed', 'how it stands'],
        legs.flatMap(({ store, kind, counts, shared, lines: [first = '', ...more] }) => [
          [store, kind, removed(counts, shared), first],
          ...more.map((line) => ['', '', '', `  ${line}`]),
        ]),
      ),
    )
  if (answers.length > 0)
    lines.push(
      '',
      table(
        ['told the person', 'how it stands', 'when'],
        answers.map((one) => [
          one.kind,
          answered(one),
          one.deliveredAt === null ? '' : instant(one.deliveredAt),
        ]),
      ),
    )
  if (askings.length > 0)
    lines.push(
      '',
      table(
        ['asked for', 'as', 'by', 'when', ''],
        askings.map((one) => [
          one.words,
          one.id,
          one.actor,
          instant(one.receivedAt),
          one.raised ? 'raised the request' : '',
        ]),
      ),
    )
  if (decisions.length > 0)
    lines.push(
      '',
      table(
        ['decision', 'of', 'by', 'when'],
        decisions.map((one) => [one.verb, one.object ?? '', one.actor, instant(one.at)]),
      ),
    )
  return `${lines.join('\n')}\n`
}

function answered({ state, errorCode }: RequestStatus['answers'][number]): string {
  if (errorCode === 'E_NOTIFY_LOG') return 'not sent: no channel is configured, so telling them is yours'
  return errorCode === null ? state : `${state} (${errorCode})`
}

type Bold = (text: string) => string

const kinds: Readonly<Record<RequestStatus['request']['kind'], string>> = {
  'article-17': 'Request for erasure (Art. 17 GDPR)',
  'account-closure': 'Account closure',
  retention: 'End of the retention period',
}

const requesters: Readonly<Record<RequestStatus['request']['requester'], string>> = {
  subject: 'the person',
  guardian: 'a guardian',
  representative: 'a representative',
  staff: 'staff',
  policy: 'a retention policy',
}

function removed(counts: Readonly<Record<string, number>>, shared: number): string {
  const all = total(counts)
  return shared > 1 ? `${count(all)} (of ${shared} together)` : count(all)
}

/** A page; only the first has titles. */
export function listText(requests: readonly ListedRequest[], first: boolean): string {
  if (requests.length === 0) return 'No requests.'
  const titles = ['request', 'of', 'kind', 'state', 'waits for', 'days left', 'received']
  return table(
    first ? titles : titles.map(() => ''),
    requests.map((one) => [
      one.id,
      one.subjectKind,
      one.kind,
      one.state,
      one.waitingFor ?? '',
      one.daysLeft === null ? '' : String(one.daysLeft),
      instant(one.receivedAt),
    ]),
  )
}

export function listEnd(shown: number, total: number): string {
  return `${count(shown)} of ${count(total)}; --limit N shows more, --all every one.`
}

export function previewText(preview: Preview, bold: Bold): string {
  const { places, tombstones, classes, notCovered } = preview
  const needed = places.filter((place) => place.needed && place.kind !== 'search')
  const lines = [
    bold(
      preview.present
        ? 'What is there of this person'
        : 'Nothing of this person is in the own store; this would be looked for',
    ),
    ...(preview.merged === 0 ? [] : [`${preview.merged} rows were merged into this one and go with it.`]),
    ...(preview.keptBack === null ? [] : [bold(`KEPT BACK NOW: ${preview.keptBack}`)]),
    '',
    table(
      ['store', 'kind', 'where', 'items', 'becomes of them'],
      needed.flatMap((place) =>
        wheres(place).map(([where, items, fate], i) => [
          i === 0 ? place.store : '',
          i === 0 ? place.kind : '',
          where,
          items,
          fate,
        ]),
      ),
    ),
  ]
  const idle = places.filter((place) => !place.needed).map(({ store }) => store)
  if (idle.length > 0) lines.push('', `Nothing leads to: ${idle.join(', ')}.`)
  const staying = needed.flatMap(({ rows }) => (rows ?? []).filter((row) => stays(row) > 0))
  if (staying.length > 0)
    lines.push(
      '',
      bold('Stays, and why'),
      ...staying.map((row) => `  ${row.place}: ${count(stays(row))} ${why(row)}`),
    )
  if (tombstones.length > 0)
    lines.push(
      '',
      bold('Tombstones, once the keys are shredded'),
      ...tombstones.map(
        ({ table: name, columns, problem }) =>
          `  ${name} (${columns.join(', ')})${problem === null ? '' : `: CAN'T BE WRITTEN: ${problem}`}`,
      ),
    )
  if (classes.length > 0) lines.push('', bold('Classes of records'), ...classes.map(decided))
  lines.push('', bold('What else happens'))
  for (const place of needed) {
    lines.push(`  ${place.store}: can't be undone after ${place.irreversibleAfter}`)
    lines.push(...place.sideEffects.map((text) => `    ${text}`))
  }
  for (const { kind, needed: searched, store } of places)
    if (kind === 'search' && searched)
      lines.push(`  ${store}: the texts of others are searched for this person's identifiers, not changed`)
  if (notCovered.length > 0) lines.push('', bold('Not covered'), ...notCovered.map((text) => `  ${text}`))
  return `${[...lines, '', 'Nothing was changed.'].join('\n')}\n`
}

type Row = NonNullable<Preview['places'][number]['rows']>[number]

function wheres({ kind, counts, rows, problem }: Preview['places'][number]): [string, string, string][] {
  if (counts === null) return [[`DOES NOT ANSWER: ${problem ?? ''}`, '', '']]
  if (kind === 'declared')
    return [['no interface reaches it: its owner answers for it', '', 'nothing is called']]
  if (rows !== null && rows.length > 0) return rows.flatMap(fates)
  const found = Object.entries(counts)
  return found.length === 0
    ? [['nothing is there now', '', '']]
    : found.map(([where, n]) => [where, count(n), ''])
}

/** A line for each thing that becomes of rows of one table. */
function fates({ place, removed: gone, pseudonymised, kept, detached }: Row): [string, string, string][] {
  const all: [number, string][] = [
    [gone, 'deleted'],
    [pseudonymised, 'kept and pseudonymised, see below'],
    [kept, 'kept as they are, see below'],
    [detached, 'kept, the link to the person cut'],
  ]
  return all.flatMap(([n, fate]) => (n === 0 ? [] : [[place, count(n), fate]]))
}

function stays({ pseudonymised, kept }: Row): number {
  return pseudonymised + kept
}

function why({ pseudonymised, ground, until }: Row): string {
  return [
    pseudonymised > 0 ? 'pseudonymised' : 'as they are',
    until === null ? 'no end is known' : `until ${until.slice(0, 10)}`,
    ground ?? 'the map keeps them',
  ].join(', ')
}

function decided({ name, decision, ground }: Preview['classes'][number]): string {
  if (decision === 'erase') return `  ${name}: erased`
  return decision === 'retain'
    ? `  ${name}: stays (${ground ?? ''})`
    : `  ${name}: a named person decides, erase or retain; the ground to retain it: ${ground ?? ''}`
}
