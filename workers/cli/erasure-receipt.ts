/** `lethe erasure receipt …`: what is left of a request, checked by anybody with the file and the public key. */
import type { Command } from 'commander'
import type { VerifierKey } from '../../lib/record/evidence/index.ts'
import { readText, writeNew } from './evidence-verify.ts'
import { usage, type Session } from './session.ts'

/** A verifier key as it is printed; no path of a file looks like it. */
const KEY = /^\S+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$/u

/** Adds `receipt` and what it can do to `lethe erasure`; returns it, for what needs the database. */
export function addReceipt(erasure: Command, session: Session): Command {
  const receipt = erasure
    .command('receipt')
    .description('the signed receipt of a request that ended: what was erased, what stays and why')
  receipt
    .command('verify <file>')
    .description('offline, by the public key alone; exit code 30 where it was edited or somebody else signed')
    .requiredOption(
      '--key <file-or-key>',
      'a public key of `lethe evidence keys`, or a file of them, a line each',
    )
    .option('--html <file>', 'what was verified, as a page to read and print')
    .action((file: string, options: VerifyOptions) => verify(session, file, options))
  return receipt
}

interface VerifyOptions {
  key: string
  html?: string
}

async function verify(session: Session, file: string, options: VerifyOptions): Promise<void> {
  const { describeReceipt, receiptHash, renderReceipt, verifyReceipt } =
    await import('../../lib/record/receipt/index.ts')
  const keys = await readKeys(options.key)
  const { receipt, origin, signedBy } = verifyReceipt(await readText(file), keys)
  if (options.html !== undefined) await writeNew(options.html, renderReceipt(receipt))
  session.output.data(
    { origin, signedBy, hash: receiptHash(receipt), receipt },
    `Holds: signed by ${signedBy}.\n\n${describeReceipt(receipt)}`,
  )
}

/** Throws E_EVIDENCE_KEY, and E_USAGE for a file that isn't there or holds none. */
async function readKeys(fileOrKey: string): Promise<VerifierKey[]> {
  const { readVerifierKeys } = await import('../../lib/record/evidence/index.ts')
  const found = readVerifierKeys(KEY.test(fileOrKey) ? fileOrKey : await readText(fileOrKey))
  if (found.length === 0) throw usage(`${fileOrKey} holds no public key.`)
  return found
}
