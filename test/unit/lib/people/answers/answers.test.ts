import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  answersSchema,
  renderAnswer,
  type Answer,
  type AnswerFacts,
  type AnswerKind,
} from '../../../../../lib/people/answers/index.ts'
import { lineProblems, textProblems } from '../../../../../lib/people/answers/template.ts'
import { definitions } from '../../../../../lib/people/answers/texts.ts'

const request = '0b8f5a52-6a0c-4d2e-9a39-7f7b8f1f3c11'
const received = new Date('2026-11-20T23:30:00Z')
const due = new Date('2026-12-20T12:00:00Z')
const link = new URL(`https://clinic.example/erasure/confirm?token=${'k'.repeat(86)}`)
const facts: AnswerFacts = {
  acknowledgement: { request, received, due },
  confirm: { request, link, expires: new Date('2026-11-21T23:30:00Z') },
  cancel: { request, link, accessCut: received, graceUntil: new Date('2026-12-05T23:30:00Z') },
  extension: {
    request,
    received,
    due,
    extended: new Date('2027-02-19T12:00:00Z'),
    reason: 'Three archives.',
  },
  refusal: { request, received, grounds: ['A claim before a court (Art. 17(3)(e)).', 'A second ground.'] },
  completion: {
    request,
    received,
    finished: new Date('2026-11-25T12:00:00Z'),
    receipt: 'R-17',
    erased: ['Your profile', 'Your messages'],
    retained: [
      {
        what: 'Your medical record',
        ground: 'records of care, 8 years',
        until: new Date('2034-05-01T12:00:00Z'),
      },
      { what: 'An invoice', ground: 'an open claim', until: null },
    ],
    pseudonymised: ['shop: public.orders'],
    left: ['Your entry in the customer register'],
    backup: { until: new Date('2026-12-25T12:00:00Z') },
    recipients: [
      { name: 'City Pharmacy', told: new Date('2026-11-25T12:00:00Z') },
      { name: 'Northside Laboratory', told: null },
    ],
  },
}
const kinds: AnswerKind[] = ['acknowledgement', 'confirm', 'cancel', 'extension', 'refusal', 'completion']
const plain = answersSchema.parse({})

/** Broken lines joined again: what the reader reads. */
function words({ text }: Answer): string {
  return text.replaceAll(/\s+/g, ' ')
}

describe('an answer', () => {
  it.each<[AnswerKind, string[]]>([
    ['acknowledgement', ['on 20 November 2026', 'by 20 December 2026 at the latest', request]],
    ['confirm', [link.href, 'works once, and until 21 November 2026 at 23:30 UTC', 'do nothing']],
    [
      'cancel',
      [
        'ended the access to your account on 20 November 2026 at 23:30 UTC',
        'after 5 December 2026 at 23:30 UTC',
        link.href,
      ],
    ],
    ['extension', ['by 20 December 2026', 'Three archives.', 'by 19 February 2027 at the latest']],
    [
      'refusal',
      [
        '- A claim before a court (Art. 17(3)(e)). - A second ground.',
        'complain to the data protection authority of the country where you live or work',
        'go to court',
      ],
    ],
    [
      'completion',
      [
        'We erased: - Your profile - Your messages',
        '- Your medical record: records of care, 8 years, until 1 May 2034',
        '- An invoice: an open claim, for as long as this reason lasts',
        'We keep records here without anything in them that names you: - shop: public.orders',
        'We could not erase this: - Your entry in the customer register',
        'in our backups, the last of them until 25 December 2026',
        '- City Pharmacy, told of the erasure on 25 November 2026',
        '- Northside Laboratory, whom we could not tell of the erasure',
        'Its number is R-17.',
        'complain to',
      ],
    ],
  ])('of kind %s says what it has to', (kind, sentences) => {
    const answer = renderAnswer(kind, facts[kind], plain)
    for (const sentence of sentences) expect(words(answer)).toContain(sentence)
    expect(answer.subject).not.toBe('')
    expect(answer.text).not.toMatch(/[{}]|null|undefined|\n\n\n/)
    expect(answer.text).toMatch(/[^\n]\n$/)
  })

  it('leaves out a paragraph about what is not there', () => {
    const nothing = {
      ...facts.completion,
      erased: [],
      retained: [],
      pseudonymised: [],
      left: [],
      backup: null,
      recipients: [],
    }
    const said = words(renderAnswer('completion', nothing, plain))
    expect(said).toContain('We found no personal data about you.')
    const kept = words(renderAnswer('completion', { ...nothing, pseudonymised: ['shop: orders'] }, plain))
    expect(kept).not.toContain('We found no')
    expect(said).toContain('If you ask us, we tell you who they are.')
    for (const absent of ['We erased', 'keep', 'could not erase', 'backup', 'recipients', ' - '])
      expect(said).not.toContain(absent)
    const all = words(renderAnswer('completion', facts.completion, plain))
    expect(all).not.toContain('We found no')
    expect(all).not.toContain('We cannot say yet until when')
  })

  it('does not promise an end of backups that nobody knows', () => {
    const open = { ...facts.completion, backup: { until: null } }
    const said = words(renderAnswer('completion', open, plain))
    expect(said).toContain('We cannot say yet until when.')
    expect(said).not.toContain('the last of them until')
  })

  it("names the configured controller, contact and authority, and days in the data subject's zone and language", () => {
    const answers = answersSchema.parse({
      controller: 'Praxis am Park',
      contact: 'datenschutz@praxis.example',
      authority: { name: 'the Berlin commissioner', url: 'https://authority.example/complain' },
      language: 'de',
      time_zone: 'Europe/Berlin',
    })
    const said = words(renderAnswer('refusal', facts.refusal, answers))
    for (const part of [
      'on 21. November 2026 ',
      'complain to the Berlin commissioner.',
      'How to complain: https://authority.example/complain ',
      'write to datenschutz@praxis.example.',
      'Praxis am Park',
    ])
      expect(said).toContain(part)
  })

  it('is read out of the configuration where that has a text, line by line', () => {
    const answers = answersSchema.parse({
      refusal: {
        subject: 'Ihr Antrag {request}',
        text: 'Wir löschen nicht:\n{grounds}\n\nBeschwerde bei {authority}.\n',
        lines: { grounds: '* {ground}' },
      },
    })
    expect(renderAnswer('refusal', facts.refusal, answers)).toEqual({
      subject: `Ihr Antrag ${request}`,
      text: 'Wir löschen nicht:\n* A claim before a court (Art. 17(3)(e)).\n* A second ground.\n\nBeschwerde bei the data protection authority of the country where you\nlive or work.\n',
    })
    expect(renderAnswer('acknowledgement', facts.acknowledgement, answers)).toEqual(
      renderAnswer('acknowledgement', facts.acknowledgement, plain),
    )
  })
})

describe('a hostile fact', () => {
  const hostile = fc.string({
    unit: fc.constantFrom(
      '\r',
      '\n',
      '\u2028',
      '\u0085',
      '\u0000',
      '\u202e',
      ' ',
      '{',
      '}',
      '{request}',
      '{?left}',
      '- ',
      'Bcc: a@b.example',
      '漢字',
      '😀',
      'w'.repeat(80),
      '$&',
      '.',
    ),
    maxLength: 15,
  })

  it('adds no header, no line of its own and no placeholder, and every line fits a mail', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const answers = answersSchema.parse({
          extension: { subject: 'Longer: {reason}', text: 'Because: {reason}\n\nBy {extended}.' },
        })
        const { subject, text: body } = renderAnswer(
          'extension',
          { ...facts.extension, reason: text },
          answers,
        )
        // oxlint-disable-next-line eslint/no-control-regex
        expect(subject).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202e]/)
        expect(body.split('\n\n')).toHaveLength(2)
        for (const line of body.split('\n')) expect(Array.from(line).length).toBeLessThanOrEqual(72)
        for (const name of ['{request}', '{?left}'])
          expect(subject.split(name)).toHaveLength(text.split(name).length)
      }),
      { numRuns: 1000 },
    )
  })

  it('is one line of a list', () => {
    const { text } = renderAnswer(
      'refusal',
      { ...facts.refusal, grounds: ['a\n\nWe erased everything.\n- b'] },
      plain,
    )
    expect(text).toContain('\n- a We erased everything. - b\n')
  })
})

describe('lines', () => {
  it.each(kinds)('of kind %s fit a mail; only an address may be longer, and stays whole', (kind) => {
    for (const line of renderAnswer(kind, facts[kind], plain).text.split('\n'))
      expect(Array.from(line).length <= 72 || line === link.href).toBe(true)
    if (kind === 'confirm' || kind === 'cancel')
      expect(renderAnswer(kind, facts[kind], plain).text.split('\n')).toContain(link.href)
  })

  it('of a list go on below their text', () => {
    const { text } = renderAnswer('refusal', { ...facts.refusal, grounds: ['word '.repeat(30)] }, plain)
    expect(text).toContain(`\n- ${'word '.repeat(14).trim()}\n  ${'word '.repeat(14).trim()}\n  word word\n`)
  })
})

describe('the built-in texts', () => {
  it.each(kinds)('of kind %s keep the rules of configured ones', (kind) => {
    const { subject, text, always, lists, lines } = definitions[kind]
    expect(textProblems(text, definitions[kind])).toEqual([])
    expect(
      lineProblems(
        subject,
        always.filter((name) => !lists.includes(name)),
      ),
    ).toEqual([])
    for (const line of Object.values(lines)) expect(lineProblems(line.text, line.always)).toEqual([])
  })
})

describe('a configured text is refused', () => {
  const good = 'By {extended}, because: {reason}'
  it.each([
    [
      'names what nobody knows',
      { text: `${good} {dua}` },
      'text: unknown placeholder {dua}; known here: {request}, {received}, {due}',
    ],
    [
      'names a fact of another kind',
      { subject: '{link}' },
      'subject: unknown placeholder {link}; known here: {request}',
    ],
    ['has a slip in a brace', { text: `${good} {Due}` }, 'text: has a brace that is of no placeholder'],
    [
      'lacks what it is for',
      { text: 'By {extended}.' },
      'text: lacks {reason}, behind no condition but its own',
    ],
    [
      'says what it is for only at times',
      { text: 'By {extended}.\n\n{?contact}Because: {reason}' },
      'text: lacks {reason}',
    ],
    [
      'names what may be absent',
      { text: `${good} {contact}` },
      "text: names {contact}, which may be absent, in a paragraph that doesn't begin with {?contact}",
    ],
    [
      'asks for what is always there',
      { text: `{?due}${good}` },
      'text: asks for {due}, which is always there',
    ],
    ['asks in the middle', { text: `${good} {?contact}x` }, 'text: has the condition {?contact} elsewhere'],
    ['would add a header', { subject: 'Longer\nBcc: a@b.example' }, 'subject: is more than one line'],
    [
      'would add a header by a lone CR',
      { subject: 'Longer\rBcc: a@b.example' },
      'subject: holds a character that nobody sees',
    ],
    ['is HTML', { text: `<p>${good}</p>` }, 'text: holds what looks like HTML'],
    ['is empty', { subject: ' ' }, 'subject: is empty'],
    ['has lines of lists that it has not', { lines: { grounds: '- {ground}' } }, 'lines: '],
    ['has a key that nobody knows', { body: 'x' }, ': Unrecognized key: "body"'],
  ])('where it %s', (_what, extension, message) => {
    expect(complaints({ extension }).join('\n')).toContain(
      `extension${message.startsWith(':') ? '' : '.'}${message}`,
    )
  })

  it('where a list stands beside other words, or a flag is named', () => {
    const text = definitions.completion.text
    expect(complaints({ completion: { text: text.replace('\n{left}', ' {left}') } })).toEqual([
      'completion.text: names {left}, which is a list, beside other words on a line',
    ])
    expect(
      complaints({ completion: { text: text.replace('We cannot', '{backup_open} We cannot') } }),
    ).toEqual(['completion.text: names {backup_open}, which can only be a condition'])
    expect(complaints({ completion: { text: text.replace('{?backup_open}', '') } })).toEqual([
      'completion.text: lacks a paragraph that begins with {?backup_open}',
    ])
    expect(complaints({ completion: { lines: { retained: '- {what}, {place}' } } })).toEqual([
      'completion.lines.retained: unknown placeholder {place}; known here: {what}, {ground}, {until}',
    ])
  })

  it('where it is rendered all the same, without the check', () => {
    const unchecked = { ...plain, extension: { text: 'x {dua}' } }
    expect(() => renderAnswer('extension', facts.extension, unchecked)).toThrow(
      expect.objectContaining({
        code: 'E_CONFIG',
        message: 'A text of answers has the unknown placeholder {dua}.',
      }),
    )
  })

  it.each([
    [{ language: 'klingonese-x' }, 'language: is no language tag such as en-GB or de'],
    [{ time_zone: 'Europe/Atlantis' }, 'time_zone: is no IANA time zone name'],
    [{ controller: 'a\nb' }, 'controller: is more than one line'],
    [{ authority: { name: 'a', url: 'javascript:alert(1)' } }, 'authority.url: Invalid URL'],
  ])('and so is %j', (given, message) => {
    expect(complaints(given)).toEqual([message])
  })

  it('and editors know the keys from a JSON Schema', () => {
    const schema = JSON.stringify(z.toJSONSchema(answersSchema, { io: 'input' }))
    expect(schema).toContain('"retained_open"')
    expect(schema).toContain('placeholders: request, received, due, extended, reason')
  })
})

function complaints(given: unknown): string[] {
  const found = answersSchema.safeParse(given)
  return (found.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
}
