/**
 * The built-in texts, and what a text of the configuration may and has to name in their place. A paragraph that begins with
 * `{?name}` stands only where there is such a fact, one with `{!name}` only where there is none.
 */
import type { AnswerKind } from './facts.ts'

export interface Definition {
  subject: string
  text: string
  /** Facts that are always there. */
  always: readonly string[]
  /** Facts that may be absent: named only behind their condition. */
  sometimes: readonly string[]
  /** Facts of several lines: each stands on a line of its own in the text, behind its condition unless it is in `always`. */
  lists: readonly string[]
  /** Facts that are only asked for in a condition. */
  flags: readonly string[]
  /** How a line of a list reads, and what it may name. */
  lines: Readonly<Record<string, { text: string; always: readonly string[] }>>
  /** Without these in the text, behind no condition but their own, it would not do what the law or the flow asks of it. */
  needed: readonly string[]
}

const none = { lists: [], flags: [], lines: {} } as const
const us = ['controller', 'contact']
const end = `Your reference is {request}.

{?contact}If you have a question, write to {contact}.

{?controller}{controller}`
const complain = `If you do not agree, you can complain to {authority}. You can also go to court.

{?authority_url}How to complain: {authority_url}`

export const definitions: Readonly<Record<AnswerKind, Definition>> = {
  acknowledgement: {
    ...none,
    subject: 'We received your request to erase your data',
    text: `We received your request to erase your personal data on {received}.

We will answer by {due} at the latest. If we need longer or cannot do what you ask, we tell you so before that day, and why.

${end}`,
    always: ['request', 'received', 'due'],
    sometimes: us,
    needed: ['due'],
  },
  confirm: {
    ...none,
    subject: 'Please confirm your request to erase your data',
    text: `Somebody asked us to erase the personal data that we hold about you. We have to be sure that it was you.

If it was you, open this link. It works once, and until {expires}:

{link}

If it was not you, do nothing. Without this confirmation nothing is erased.

${end}`,
    always: ['request', 'link', 'expires'],
    sometimes: us,
    needed: ['link', 'expires'],
  },
  cancel: {
    ...none,
    subject: 'Your data will be erased: you can still change your mind',
    text: `We ended the access to your account on {access_cut}. Your personal data will be erased after {grace_until}.

If you want to keep it, open this link before then. It works once:

{link}

After that the erasure cannot be undone.

${end}`,
    always: ['request', 'link', 'access_cut', 'grace_until'],
    sometimes: us,
    needed: ['link', 'grace_until'],
  },
  extension: {
    ...none,
    subject: 'We need longer for your request to erase your data',
    text: `You asked us on {received} to erase your personal data. We said that we would answer by {due}. We need longer, for this reason:

{reason}

We will answer by {extended} at the latest.

${complain}

${end}`,
    always: ['request', 'received', 'due', 'extended', 'reason', 'authority'],
    sometimes: [...us, 'authority_url'],
    needed: ['extended', 'reason'],
  },
  refusal: {
    subject: 'Your request to erase your data',
    text: `You asked us on {received} to erase your personal data. We do not erase it. The reasons are:
{grounds}

${complain}

${end}`,
    always: ['request', 'received', 'grounds', 'authority'],
    sometimes: [...us, 'authority_url'],
    lists: ['grounds'],
    flags: [],
    lines: { grounds: { text: '- {ground}', always: ['ground'] } },
    needed: ['grounds', 'authority'],
  },
  completion: {
    subject: 'What became of your request to erase your data',
    text: `You asked us on {received} to erase your personal data. We finished on {finished}.

{?erased}We erased:
{erased}

{!erased}{!retained}{!pseudonymised}{!left}We found no personal data about you.

{?retained}We have to keep this, and use it for nothing else:
{retained}

{?pseudonymised}We keep records here without anything in them that names you:
{pseudonymised}

{?left}We could not erase this:
{left}

{?backup_until}Copies are still in our backups, the last of them until {backup_until}. We do not use them. If we restore a backup before then, we erase your data from it again.

{?backup_open}Copies are still in our backups. We cannot say yet until when. We do not use them. If we restore a backup before they expire, we erase your data from it again.

{?recipients}We gave your data to these recipients:
{recipients}

{!recipients}If we gave your data to others, we tell them of the erasure. If you ask us, we tell you who they are.

There is a signed receipt of this. Its number is {receipt}.

${complain}

${end}`,
    always: ['request', 'received', 'finished', 'receipt', 'authority'],
    sometimes: [
      ...us,
      'authority_url',
      'erased',
      'retained',
      'pseudonymised',
      'left',
      'backup_until',
      'recipients',
    ],
    lists: ['erased', 'retained', 'pseudonymised', 'left', 'recipients'],
    flags: ['backup_open'],
    lines: {
      erased: { text: '- {what}', always: ['what'] },
      retained: { text: '- {what}: {ground}, until {until}', always: ['what', 'ground', 'until'] },
      retained_open: {
        text: '- {what}: {ground}, for as long as this reason lasts',
        always: ['what', 'ground'],
      },
      pseudonymised: { text: '- {what}', always: ['what'] },
      left: { text: '- {what}', always: ['what'] },
      recipients: { text: '- {name}, told of the erasure on {told}', always: ['name', 'told'] },
      recipients_untold: { text: '- {name}, whom we could not tell of the erasure', always: ['name'] },
    },
    needed: [
      'erased',
      'retained',
      'pseudonymised',
      'left',
      'backup_until',
      'backup_open',
      'recipients',
      'authority',
      'receipt',
    ],
  },
}

/** Who that is without a configured one, in the words of Art. 77. */
export const AUTHORITY = 'the data protection authority of the country where you live or work'
