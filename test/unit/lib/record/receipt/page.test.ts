import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson } from '../../../../../lib/base/canonical/index.ts'
import {
  describeReceipt,
  receiptHash,
  receiptSchema,
  renderReceipt,
  type Receipt,
} from '../../../../../lib/record/receipt/index.ts'
import { sampleLeg, sampleReceipt } from '../../../../support/stages/receipt.ts'

const receipt = sampleReceipt()
const page = renderReceipt(receipt)

describe('the page', () => {
  it('keeps apart what was asked, accepted, read back, left, kept, in backups and told', () => {
    expect(cells('progress')).toEqual([
      ['app postgres, eu-central-1', 'retained in part', at('03:30'), at('03:30'), at('03:31')],
      ['uploads s3, eu-central-1', 'verified absent', at('03:30'), at('03:30'), at('03:31')],
      ['mail sendgrid', 'accepted, not read back', at('03:30'), at('03:30'), 'not read back'],
      [
        'crm salesforce, eu-central-1',
        'NOT ERASED, accepted by a person',
        at('03:30'),
        'not accepted',
        'not read back',
      ],
      [
        'archive declared',
        'declared: nothing is called there; head of support answers for it',
        'nothing is called',
        'nothing is called',
        'nothing is called',
      ],
      ['search opensearch', 'nothing to erase', at('03:30'), 'not needed', 'not needed'],
    ])
    const by = `records-officer signed statement ${'e1'.repeat(32)}`
    expect(cells('left')).toEqual([
      ['crm', 'Contact', '1', by],
      ['crm', 'Contact history', '3', by],
    ])
    expect(cells('kept')).toEqual([
      ['app', 'public.appointments', '12', 'Records of care, 8 years', '2034-05-01 00:00 UTC'],
      ['app', 'public.invoices', '1', 'Open claim', 'as long as the ground lasts'],
      [
        'archive',
        'recordings of calls',
        '1',
        'declared by head of support: gone 90 days after the request',
        '2027-02-19 00:00 UTC',
      ],
    ])
    expect(cells('pseudonymised')).toEqual([['app', 'public.appointments', '12 items']])
    expect(cells('detached')).toEqual([['app', 'public.notes', '2 items']])
    expect(cells('access')).toEqual([['cache', 'sessions', '3 items']])
    expect(cells('erased')).toContainEqual(['uploads', 'clinic-uploads', '37 items of 12 subjects together'])
    expect(cells('backups')).toEqual([
      ['app', '2026-12-22 03:00 UTC', 'the backups that were there'],
      ['uploads', 'not known', 'what the configuration declares'],
    ])
    expect(cells('recipients')).toEqual([
      ['Northside Laboratory', '2026-11-22 03:50 UTC'],
      ['City Pharmacy', 'not told'],
    ])
    expect(page).toContain(receiptHash(receipt))
  })

  it('is the same before the receipt is signed and after it was read, whatever the order of its members', () => {
    const read = receiptSchema.parse(JSON.parse(canonicalJson(receipt)))
    expect(Object.keys(read.legs[0]?.counts ?? {})).not.toEqual(Object.keys(receipt.legs[0]?.counts ?? {}))
    expect(renderReceipt(read)).toBe(page)
    expect(describeReceipt(read)).toBe(describeReceipt(receipt))
  })

  it('does not say what is left where nobody knows', () => {
    const unknown = sampleLeg({
      verified: null,
      state: 'accepted-as-failed',
      counts: {},
      acceptedBy: { name: 'cto', statement: '00'.repeat(32) },
    })
    expect(cells('left', renderReceipt(sampleReceipt({ legs: [unknown] })))[0]?.slice(0, 3)).toEqual([
      'app',
      'unknown',
      '?',
    ])
  })

  it('says in words where there is nothing', () => {
    const empty = renderReceipt(
      sampleReceipt({
        outcome: 'refused',
        refusal: { ground: 'Art. 12(5)' },
        legs: [],
        accessEnded: [],
        recipients: [],
        decisions: [],
      }),
    )
    for (const sentence of [
      'No store was asked',
      'Nothing is kept',
      'Nothing was erased',
      'Art. 12(5)',
      'Refused',
    ])
      expect(empty).toContain(sentence)
    expect(empty).not.toContain('<table')
  })

  it('loads and runs nothing, and its policy would allow neither', () => {
    const style = /<style>([\s\S]*)<\/style>/.exec(page)?.[1] ?? ''
    const hash = createHash('sha256').update(style).digest('base64')
    expect(page).toContain(`content="default-src &#39;none&#39;; style-src &#39;sha256-${hash}&#39;;`)
    expect(page).not.toMatch(
      /<(script|img|link|iframe|object|form|base|svg|a)\b|\bon\w+=|url\(|@import|https?:/i,
    )
  })

  it('has a language, a title, one main heading, and headings, tables and cells that name each other', () => {
    expect(page).toMatch(/^<!doctype html>\n<html lang="en">/)
    expect(page).toContain(`<title>Erasure receipt ${receipt.request}</title>`)
    expect(page.match(/<h1>/g)).toHaveLength(1)
    const labels = [...page.matchAll(/aria-labelledby="([^"]+)"/g)].map(([, id]) => id)
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
    expect(new Set(labels)).toEqual(new Set(ids))
    expect(new Set(ids).size).toBe(ids.length)
    for (const [row] of page.matchAll(/<tr>[\s\S]*?<\/tr>/g)) expect(row).toMatch(/<th scope="(row|col)"/)
    for (const [scroller] of page.matchAll(/<div class="scroll"[^>]*>/g))
      expect(scroller).toContain('tabindex="0"')
  })
})

/** Every text of a receipt, also those that no schema would let through: the page must not need it. */
const places: ((text: string) => Receipt)[] = [
  (text) => sampleReceipt({ request: text }),
  (text) => sampleReceipt({ ground: text }),
  (text) => sampleReceipt({ requester: text }),
  (text) => sampleReceipt({ subject: { kind: text, hash: text, keyId: text } }),
  (text) => sampleReceipt({ identity: { method: text, at: receipt.received } }),
  (text) => sampleReceipt({ refusal: { ground: text } }),
  (text) => sampleReceipt({ map: text, plan: text }),
  (text) => sampleReceipt({ recipients: [{ name: text, told: null }] }),
  (text) =>
    sampleReceipt({ decisions: [{ class: text, decision: 'retain', ground: text, until: null, by: text }] }),
  (text) => sampleReceipt({ accessEnded: [{ store: text, counts: { [text]: 1 }, sharedWith: 1 }] }),
  (text) =>
    sampleReceipt({
      legs: [
        sampleLeg({
          store: text,
          kind: text,
          location: text,
          declaredBy: text,
          counts: { [text]: 1 },
          pseudonymised: { [text]: 1 },
          detached: { [text]: 1 },
          left: { [text]: 1 },
          retained: [{ place: text, count: 1, ground: text, until: null }],
          acceptedBy: { name: text, statement: text },
          sideEffects: [text],
        }),
      ],
    }),
]

describe('hostile text', () => {
  const signs = fc.string({
    unit: fc.constantFrom(
      '<',
      '>',
      '&',
      '"',
      "'",
      '`',
      '=',
      '/',
      'script',
      'onload=',
      '-->',
      ']]>',
      '${',
      '\u0000',
      '\u202e',
      '\n',
      'é',
    ),
    maxLength: 12,
  })

  it('adds no tag and no attribute to the page, wherever it stands', () => {
    fc.assert(
      fc.property(fc.constantFrom(...places), signs, (make, text) => {
        expect(tags(renderReceipt(make(`x${text}`)))).toEqual(tags(renderReceipt(make('x'))))
      }),
      { numRuns: 500 },
    )
  })

  it('stands on the page as it was written', () => {
    const text = `</title><script>alert("1")</script> & '`
    for (const make of places)
      expect(renderReceipt(make(text))).toContain(
        '&lt;/title&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;',
      )
  })

  it('is not turned or hidden by what it holds', () => {
    for (const make of places) {
      const turned = renderReceipt(make('x\u202ey\u0000'))
      expect(turned).toContain('x\uFFFDy\uFFFD')
      expect(turned).not.toMatch(/\u202e|\0/)
    }
  })

  it('neither steers a terminal nor adds a line to it', () => {
    for (const make of places) {
      const said = describeReceipt(make('x\u001b[2J\n\u202e\u009b y'))
      expect(said.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u202e]/u)
      expect(said.split('\n')).toHaveLength(describeReceipt(make('x')).split('\n').length)
    }
  })
})

describe('the terminal', () => {
  it('is told the same', () => {
    const said = describeReceipt(receipt)
    for (const line of [
      'Ended with something not erased: 0b8f5a52-6a0c-4d2e-9a39-7f7b8f1f3c11',
      '  app (postgres, eu-central-1): retained in part',
      '    accepted   not accepted',
      '  crm, Contact history: 3',
      `    accepted by records-officer, signed statement ${'e1'.repeat(32)}`,
      '  app, public.appointments: 12, until 2034-05-01 00:00 UTC (Records of care, 8 years)',
      '  uploads, clinic-uploads: 37 items of 12 subjects together',
      '  app: until 2026-12-22 03:00 UTC (from the backups that were there)',
      '  City Pharmacy: NOT TOLD',
      `  receipt   SHA-256 ${receiptHash(receipt)}`,
    ])
      expect(said.split('\n')).toContain(line)
  })
})

/** The text of a table's cells, a row each. */
function cells(label: string, of = page): string[][] {
  const body =
    new RegExp(`<table aria-labelledby="${label}">[\\s\\S]*?<tbody>([\\s\\S]*?)</tbody>`).exec(of)?.[1] ?? ''
  return [...body.matchAll(/<tr>([\s\S]*?)<\/tr>/g)].map(([, row = '']) =>
    [...row.matchAll(/<t[hd][^>]*>([\s\S]*?)<\/t[hd]>/g)].map(([, cell = '']) =>
      cell
        .replaceAll(/<[^>]*>/g, ' ')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    ),
  )
}

function at(time: string): string {
  return `2026-11-21 ${time} UTC`
}

/** Tags with the names of their attributes; every `<` that opens none is here too. */
function tags(of: string): string[] {
  return [...of.replace(/<style>[\s\S]*<\/style>/, '').matchAll(/<[^>]*>?/g)].map(([tag]) =>
    tag.replaceAll(/"[^"]*"/g, '""'),
  )
}
