import { createHash, generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson } from '../../../../../lib/base/canonical/index.ts'
import { LetheError } from '../../../../../lib/base/errors/index.ts'
import {
  formatNote,
  formatVerifierKey,
  parseVerifierKey,
  readVerifierKeys,
  signerFromPem,
  signerFromSeed,
  signNote,
  type SignerKey,
} from '../../../../../lib/record/evidence/index.ts'
import {
  receiptHash,
  receiptSchema,
  signReceipt,
  verifyReceipt,
  type ReceiptLeg,
} from '../../../../../lib/record/receipt/index.ts'
import { createSigner, sampleLeg, sampleReceipt } from '../../../../support/stages/receipt.ts'

const signer = createSigner()
const receipt = sampleReceipt()
const file = signReceipt(receipt, signer)

describe('a signed receipt', () => {
  it('is verified by the published public key alone, and says who signed', () => {
    const published = parseVerifierKey(formatVerifierKey(signer))
    expect(published).not.toHaveProperty('secret')
    expect(verifyReceipt(file, [published])).toEqual({
      receipt,
      origin: 'log.example/lethe',
      signedBy: `log.example/lethe+${signer.id}`,
    })
  })

  it('is the same file whatever the order in which members were written, and when', () => {
    const turned = Object.fromEntries(Object.entries(receipt).toReversed())
    expect(signReceipt(receiptSchema.parse(turned), signer)).toBe(file)
    expect(receiptHash(receipt)).toBe(createHash('sha256').update(canonicalJson(turned)).digest('hex'))
  })

  it('is verified with a key that the log used before, among others', () => {
    const later = createSigner()
    expect(verifyReceipt(file, [later, signer])).toMatchObject({ signedBy: `log.example/lethe+${signer.id}` })
  })

  it('survives what a mail does to line ends', () => {
    expect(verifyReceipt(file.replaceAll('\n', '\r\n'), [signer]).receipt).toEqual(receipt)
    expect(verifyReceipt(file.trimEnd(), [signer]).receipt).toEqual(receipt)
  })

  it('cut anywhere is refused', () => {
    for (let end = 0; end < file.trimEnd().length; end += 1) {
      const code = codeOf(file.slice(0, end))
      // Without the last sign of padding the signature is whole.
      if (end === file.trimEnd().length - 1 && code === null) continue
      expect([end, code]).toEqual([end, 'E_EVIDENCE_FORMAT'])
    }
  })

  it('with any other character in it is refused, or says the same', () => {
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, other) => {
        const edited = file.slice(0, at) + other + file.slice(at + 1)
        const found = attempt(() => verifyReceipt(edited, [signer]))
        if (found instanceof LetheError) return true
        expect(found.receipt).toEqual(receipt)
        expect(at === file.length - 1 || edited === file || at > file.lastIndexOf(' ')).toBe(true)
        return true
      }),
      { numRuns: 2000 },
    )
  })

  it('that was edited says so', () => {
    expect(errorOf(file.replace('"count":12', '"count":2'))).toMatchObject({
      code: 'E_EVIDENCE_SIGNATURE',
      message:
        "The receipt was edited after it was signed: the signature by log.example/lethe doesn't fit what it says.",
    })
  })

  it('by another key of the same name says so', () => {
    expect(errorOf(signReceipt(receipt, createSigner()))).toMatchObject({
      code: 'E_EVIDENCE_SIGNATURE',
      message: 'The receipt is signed with another key than those given of log.example/lethe.',
    })
  })

  it('of another log names both', () => {
    expect(errorOf(signReceipt(receipt, createSigner('other.example/lethe')))).toMatchObject({
      code: 'E_EVIDENCE_ORIGIN',
      facts: { found: 'other.example/lethe', expected: ['log.example/lethe'] },
    })
  })

  it("in another log's name is not believed, and its name can't steer a terminal", () => {
    const renamed = file.replace('\nlog.example/lethe\n', '\nother.example/lethe\n')
    expect(verify(renamed, [signer, createSigner('other.example/lethe')])).toBe('E_EVIDENCE_SIGNATURE')
    const steered = errorOf(file.replace('\nlog.example/lethe\n', '\n\u009b31mtrusted\u202e\n'))
    expect(steered).toMatchObject({ code: 'E_EVIDENCE_ORIGIN', facts: { found: '\uFFFD31mtrusted\uFFFD' } })
  })

  it('needs a key that signs receipts: neither an RSA key nor a cosigner nor a name with a wrong id will do', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pem = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const publicPem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const cosigner = signerFromSeed('log.example/lethe', 'cosignature', Buffer.alloc(32, 1))
    const wrongId = formatVerifierKey(signer).replace(signer.id, '00000000')
    const key = expect.objectContaining({ code: 'E_EVIDENCE_KEY' })
    expect(() => signerFromPem('log.example/lethe', 'note', pem)).toThrow(key)
    expect(() => readVerifierKeys(publicPem)).toThrow(key)
    expect(() => parseVerifierKey(wrongId)).toThrow(key)
    expect(() => signReceipt(receipt, cosigner)).toThrow(key)
    expect(() => verifyReceipt(file, [cosigner])).toThrow(key)
    expect(() => verifyReceipt(file, [])).toThrow(key)
  })
})

describe('what the key signed for another use', () => {
  it('is no receipt: a head of the log, or a note that holds one', () => {
    const head = signed(`log.example/lethe\n5\n${Buffer.alloc(32).toString('base64')}\n`)
    expect(errorOf(head)).toMatchObject({
      code: 'E_EVIDENCE_FORMAT',
      message: 'This is not an erasure receipt.',
    })
    expect(codeOf(signed(`${canonicalJson(receipt)}\n`))).toBe('E_EVIDENCE_FORMAT')
    expect(codeOf(signed(`${body(canonicalJson(receipt))}more\n`))).toBe('E_EVIDENCE_FORMAT')
  })

  it('is no receipt with a twin of a member, of which another reader would take the other', () => {
    const twins = canonicalJson(receipt).replace('{', '{"outcome":"refused",')
    expect(errorOf(signed(body(twins)))).toMatchObject({
      code: 'E_EVIDENCE_FORMAT',
      message: 'The signed text is not canonical JSON (RFC 8785).',
    })
  })

  it('is no receipt of this version with a member that it does not know', () => {
    const later = canonicalJson({ ...receipt, 'a.person@example.org': 1 })
    const error = errorOf(signed(body(later)))
    expect(error).toMatchObject({ code: 'E_EVIDENCE_FORMAT' })
    expect(JSON.stringify([error.message, error.facts])).not.toContain('a.person')
  })
})

describe('a receipt is not signed', () => {
  const texts: [string, (text: string) => unknown][] = [
    ['ground', (text) => ({ ...receipt, ground: text })],
    ['requester', (text) => ({ ...receipt, requester: text })],
    ['subject.kind', (text) => ({ ...receipt, subject: { ...receipt.subject, kind: text } })],
    ['subject.hash', (text) => ({ ...receipt, subject: { ...receipt.subject, hash: text } })],
    ['identity.method', (text) => ({ ...receipt, identity: { method: text, at: receipt.received } })],
    ['decisions.class', (text) => ({ ...receipt, decisions: [{ ...receipt.decisions[0], class: text }] })],
    ['decisions.by', (text) => ({ ...receipt, decisions: [{ ...receipt.decisions[0], by: text }] })],
    ['legs.location', (text) => ({ ...receipt, legs: [sampleLeg({ location: text })] })],
    ['legs.counts', (text) => ({ ...receipt, legs: [sampleLeg({ counts: { [text]: 1 } })] })],
    ['legs.pseudonymised', (text) => ({ ...receipt, legs: [sampleLeg({ pseudonymised: { [text]: 1 } })] })],
    ['legs.detached', (text) => ({ ...receipt, legs: [sampleLeg({ detached: { [text]: 1 } })] })],
    [
      'accessEnded.counts',
      (text) => ({ ...receipt, accessEnded: [{ store: 'app', counts: { [text]: 1 }, sharedWith: 1 }] }),
    ],
    ['legs.left', (text) => ({ ...receipt, legs: [sampleLeg({ left: { [text]: 0 } })] })],
    [
      'legs.retained.ground',
      (text) => ({
        ...receipt,
        legs: [
          sampleLeg({ state: 'retained', retained: [{ place: 'a', count: 1, ground: text, until: null }] }),
        ],
      }),
    ],
    [
      'legs.acceptedBy.statement',
      (text) => ({
        ...receipt,
        legs: [sampleLeg({ state: 'accepted-as-failed', acceptedBy: { name: 'cto', statement: text } })],
      }),
    ],
    ['legs.sideEffects', (text) => ({ ...receipt, legs: [sampleLeg({ sideEffects: [text] })] })],
    ['recipients.name', (text) => ({ ...receipt, recipients: [{ name: text, told: null }] })],
  ]
  const hostile = [
    'ada.lovelace@example.org',
    'to ada.lovelace%40example.org',
    'one line\nand another: ada',
    'turned \u202Eada',
    'escaped \u001B[2Jada',
    'half \uD800ada',
    'x'.repeat(501),
    '',
  ]

  it.each(texts)('with a person or a trick in %s, and the error does not repeat it', (_where, make) => {
    for (const text of hostile) {
      const error = attempt(() => signReceipt(make(text) as never, signer))
      if (!(error instanceof LetheError)) throw new Error(`signed with ${JSON.stringify(text)}`)
      expect(error.code).toBe('E_EVIDENCE_FORMAT')
      const said = JSON.stringify([error.message, error.next, error.facts])
      expect(said).not.toMatch(/ada/)
    }
  })

  it('with a member nobody knows, which could hold anything', () => {
    expect(() => signReceipt({ ...receipt, email: 'x' } as never, signer)).toThrow(
      expect.objectContaining({ code: 'E_EVIDENCE_FORMAT' }),
    )
  })

  const declared = (change: Partial<ReceiptLeg>) =>
    sampleLeg({
      state: 'declared',
      declaredBy: 'operations',
      requested: null,
      accepted: null,
      verified: null,
      counts: {},
      retained: [{ place: 'logs', count: 1, ground: 'declared', until: null }],
      ...change,
    })
  it('but is with what somebody only declared', () => {
    const said = sampleReceipt({ outcome: 'completed-with-retained', legs: [declared({})], recipients: [] })
    expect(verifyReceipt(signReceipt(said, signer), [signer]).receipt).toEqual(said)
  })

  const retained = [{ place: 'public.invoices', count: 1, ground: 'Tax', until: null }]
  it.each([
    ['completed, while something is left', { outcome: 'completed' }],
    ['refused, without a ground', { outcome: 'refused' }],
    [
      'nothing-found, after something was erased',
      { outcome: 'nothing-found', accessEnded: [], legs: [sampleLeg()] },
    ],
    [
      'completed-with-retained, while nothing is',
      { outcome: 'completed-with-retained', legs: [sampleLeg()] },
    ],
    ['completed-with-left, while nothing failed', { outcome: 'completed-with-left', legs: [sampleLeg()] }],
    [
      'completed, while a recipient was not told',
      { outcome: 'completed', legs: [sampleLeg()], recipients: [{ name: 'Laboratory', told: null }] },
    ],
    ['verified, never read back', { legs: [sampleLeg({ verified: null })] }],
    [
      'verified, with something retained',
      { outcome: 'completed-with-retained', legs: [sampleLeg({ retained })] },
    ],
    ['verified, with something left', { legs: [sampleLeg({ left: { 'public.notes': 1 } })] }],
    ['retained, of nothing', { legs: [sampleLeg({ state: 'retained' })] }],
    ['accepted, by nobody', { legs: [sampleLeg({ state: 'accepted', accepted: null, verified: null })] }],
    ['failed, accepted by nobody', { legs: [sampleLeg({ state: 'accepted-as-failed' })] }],
    ['not needed, after items were removed', { legs: [sampleLeg({ state: 'not-needed' })] }],
    ['not asked, and verified', { legs: [sampleLeg({ requested: null })] }],
    ['verified, and declared by somebody', { legs: [sampleLeg({ declaredBy: 'operations' })] }],
    [
      'declared, and accepted at an instant',
      { outcome: 'completed-with-retained', legs: [declared({ accepted: '2026-11-21T03:30:05Z' })] },
    ],
    [
      'declared, and read back',
      { outcome: 'completed-with-retained', legs: [declared({ verified: '2026-11-21T03:31:00Z' })] },
    ],
    ['declared, by nobody', { outcome: 'completed-with-retained', legs: [declared({ declaredBy: null })] }],
    ['declared, of nothing', { outcome: 'completed', legs: [declared({ retained: [] })] }],
    [
      'nothing-found, after sessions were ended',
      {
        outcome: 'nothing-found',
        legs: [],
        accessEnded: [{ store: 'cache', counts: { sessions: 1 }, sharedWith: 1 }],
      },
    ],
    [
      'nothing-found, after rows were pseudonymised',
      {
        outcome: 'nothing-found',
        accessEnded: [],
        legs: [sampleLeg({ counts: {}, pseudonymised: { a: 1 } })],
      },
    ],
  ])('that says %s', (_what, change) => {
    const outcome = 'legs' in change && !('outcome' in change) ? { outcome: 'completed' } : {}
    expect(() => signReceipt({ ...receipt, ...outcome, recipients: [], ...change } as never, signer)).toThrow(
      expect.objectContaining({ code: 'E_EVIDENCE_FORMAT' }),
    )
  })

  it("but is where counts of a call for several may be another subject's", () => {
    const shared = sampleLeg({ state: 'not-needed', sharedWith: 3 })
    const nothing = sampleReceipt({
      outcome: 'nothing-found',
      accessEnded: [],
      legs: [shared],
      recipients: [],
    })
    expect(verifyReceipt(signReceipt(nothing, signer), [signer]).receipt.outcome).toBe('nothing-found')
  })
})

function body(json: string): string {
  return `lethe/erasure-receipt@v1\nlog.example/lethe\n${json}\n`
}

function signed(text: string, by: SignerKey = signer): string {
  return formatNote({ text, signatures: [signNote(text, by, new Date(0))] })
}

function attempt<T>(what: () => T): T | LetheError {
  try {
    return what()
  } catch (error) {
    if (error instanceof LetheError) return error
    throw error
  }
}

function errorOf(text: string, keys: readonly SignerKey[] = [signer]): LetheError {
  const found = attempt(() => verifyReceipt(text, keys))
  if (found instanceof LetheError) return found
  throw new Error('it was verified')
}

function codeOf(text: string): string | null {
  return verify(text, [signer])
}

function verify(text: string, keys: readonly SignerKey[]): string | null {
  const found = attempt(() => verifyReceipt(text, keys))
  return found instanceof LetheError ? found.code : null
}
