/** An answer to a data subject as the subject and text of a mail. Pure: who sends it, and whether, is decided elsewhere. */
import type { AnswerFacts, AnswerKind } from './facts.ts'
import type { Answers } from './schema.ts'
import { fillLine, fillText, type Values } from './template.ts'
import { AUTHORITY, definitions } from './texts.ts'

export interface Answer {
  /** One line. */
  subject: string
  /** Plain text, its lines 72 characters long at most, but for an address that is longer. */
  text: string
}

/** Throws E_CONFIG for a text with an unknown placeholder, which `answersSchema` would have refused. */
export function renderAnswer<K extends AnswerKind>(kind: K, facts: AnswerFacts[K], answers: Answers): Answer {
  const definition = definitions[kind]
  const texts: { subject?: string | undefined; text?: string | undefined } = answers[kind]
  const values: Values = {
    controller: answers.controller ?? null,
    contact: answers.contact ?? null,
    authority: answers.authority?.name ?? AUTHORITY,
    authority_url: answers.authority?.url ?? null,
    ...valuesOf[kind](facts, wordsOf(kind, answers)),
  }
  return {
    subject: fillLine(texts.subject ?? definition.subject, values),
    text: fillText(texts.text ?? definition.text, values),
  }
}

interface Words {
  day: (at: Date) => string
  /** With time and zone, to the minute: where being late matters. */
  moment: (at: Date) => string
  /** A line of a list. */
  line: (name: string, values: Values) => string
}

const valuesOf: { [K in AnswerKind]: (facts: AnswerFacts[K], words: Words) => Values } = {
  acknowledgement: ({ request, received, due }, { day }) => ({
    request,
    received: day(received),
    due: day(due),
  }),
  confirm: ({ request, link, expires }, { moment }) => ({
    request,
    link: link.href,
    expires: moment(expires),
  }),
  cancel: ({ request, link, accessCut, graceUntil }, { moment }) => ({
    request,
    link: link.href,
    access_cut: moment(accessCut),
    grace_until: moment(graceUntil),
  }),
  extension: ({ request, received, due, extended, reason }, { day }) => ({
    request,
    received: day(received),
    due: day(due),
    extended: day(extended),
    reason,
  }),
  refusal: ({ request, received, grounds }, { day, line }) => ({
    request,
    received: day(received),
    grounds: grounds.map((ground) => line('grounds', { ground })),
  }),
  completion: (facts, { day, line }) => ({
    request: facts.request,
    received: day(facts.received),
    finished: day(facts.finished),
    receipt: facts.receipt,
    erased: facts.erased.map((what) => line('erased', { what })),
    retained: facts.retained.map(({ what, ground, until }) =>
      until === null
        ? line('retained_open', { what, ground })
        : line('retained', { what, ground, until: day(until) }),
    ),
    pseudonymised: facts.pseudonymised.map((what) => line('pseudonymised', { what })),
    left: facts.left.map((what) => line('left', { what })),
    backup_until: facts.backup?.until ? day(facts.backup.until) : null,
    backup_open: facts.backup !== null && facts.backup.until === null ? 'yes' : null,
    recipients: facts.recipients.map(({ name, told }) =>
      told === null ? line('recipients_untold', { name }) : line('recipients', { name, told: day(told) }),
    ),
  }),
}

type Formats = Record<'day' | 'moment', Intl.DateTimeFormat>
/** Making one takes as long as a hundred uses of it. */
const formats = new WeakMap<Answers, Formats>()

function formatsOf(answers: Answers): Formats {
  const known = formats.get(answers)
  if (known !== undefined) return known
  const { language, time_zone: timeZone } = answers
  const made = {
    day: new Intl.DateTimeFormat(language, { timeZone, dateStyle: 'long' }),
    moment: new Intl.DateTimeFormat(language, {
      timeZone,
      day: 'numeric',
      month: 'long',
      year: 'numeric',
      hour: '2-digit',
      minute: '2-digit',
      timeZoneName: 'short',
    }),
  }
  formats.set(answers, made)
  return made
}

function wordsOf(kind: AnswerKind, answers: Answers): Words {
  const { day, moment } = formatsOf(answers)
  const own: Readonly<Record<string, string | undefined>> = answers[kind].lines ?? {}
  return {
    day: (at) => day.format(at),
    moment: (at) => moment.format(at),
    line: (name, values) => fillLine(own[name] ?? definitions[kind].lines[name]?.text ?? '', values),
  }
}
