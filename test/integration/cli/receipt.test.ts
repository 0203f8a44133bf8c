/** `lethe erasure receipt verify` on a machine that has the file, the public key and nothing else. */
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { formatVerifierKey } from '../../../lib/record/evidence/index.ts'
import { receiptHash, renderReceipt, signReceipt } from '../../../lib/record/receipt/index.ts'
import { lethe } from '../../support/stages/cli.ts'
import { createSigner, sampleReceipt } from '../../support/stages/receipt.ts'

const folder = mkdtempSync(join(tmpdir(), 'lethe-receipt-'))
afterAll(() => rmSync(folder, { recursive: true }))

const signer = createSigner()
const key = formatVerifierKey(signer)
const receipt = sampleReceipt()
const text = signReceipt(receipt, signer)
const file = put('a.receipt', text)
const keys = put('keys', `# log.example/lethe\n${formatVerifierKey(createSigner())}\n${key}\n`)

describe('lethe erasure receipt verify', () => {
  it.each([
    ['a key', key],
    ['a file of keys', keys],
  ])('says what the receipt says, by %s', async (_what, given) => {
    const { code, stdout, stderr } = await lethe(['erasure', 'receipt', 'verify', file, '--key', given])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^Holds: signed by log\.example\/lethe\+[0-9a-f]{8}\.\n/)
    expect(stdout).toContain('Ended with something not erased')
  })

  it('gives a script the receipt, its hash and who signed', async () => {
    const { code, stdout } = await lethe(['--json', 'erasure', 'receipt', 'verify', file, '--key', key])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      lethe: 1,
      command: 'erasure receipt verify',
      data: {
        origin: 'log.example/lethe',
        signedBy: `log.example/lethe+${signer.id}`,
        hash: receiptHash(receipt),
        receipt,
      },
    })
  })

  it('writes the page, and never over another file', async () => {
    const page = join(folder, 'page.html')
    const args = ['erasure', 'receipt', 'verify', file, '--key', key, '--html', page]
    expect(await lethe(args)).toMatchObject({ code: 0 })
    expect(readFileSync(page, 'utf8')).toBe(renderReceipt(receipt))
    expect(await lethe(args)).toMatchObject({ code: 2, stdout: '' })
  })

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    .publicKey.export({ type: 'spki', format: 'pem' })
    .toString()
  it.each([
    ['cut off', put('cut', text.slice(0, -20)), key, 2, 'E_EVIDENCE_FORMAT'],
    ['edited', put('edited', text.replace('"count":12', '"count":1')), key, 30, 'E_EVIDENCE_SIGNATURE'],
    ['by another key', file, formatVerifierKey(createSigner()), 30, 'E_EVIDENCE_SIGNATURE'],
    ['of another log', file, formatVerifierKey(createSigner('other.example')), 30, 'E_EVIDENCE_ORIGIN'],
    ['checked with an RSA key', file, put('rsa.pem', rsa), 2, 'E_EVIDENCE_KEY'],
    ['checked with a key that has a slip', file, key.replace('log.', 'lug.'), 2, 'E_EVIDENCE_KEY'],
    ['checked with an empty file of keys', file, put('empty', '# none\n'), 2, 'E_USAGE'],
    ['not there', join(folder, 'absent'), key, 2, 'E_USAGE'],
  ])('refuses one that is %s, and writes no page', async (_what, given, by, code, name) => {
    const page = join(folder, 'never.html')
    const found = await lethe(['erasure', 'receipt', 'verify', given, '--key', by, '--html', page])
    expect(found).toMatchObject({ code, stdout: '' })
    expect(found.stderr).toContain(`${name}: `)
    expect(existsSync(page)).toBe(false)
  })

  it('asks for the key', async () => {
    const { code, stderr } = await lethe(['erasure', 'receipt', 'verify', file])
    expect(code).toBe(2)
    expect(stderr).toContain('--key')
  })
})

function put(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
