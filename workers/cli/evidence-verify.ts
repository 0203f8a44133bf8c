/** `lethe evidence verify`: a proof, an export, a copy of the bucket, or the living log; offline where files say all of it. */
import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Context } from '../../jobs/context.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import type {
  Cosignature,
  LogKeys,
  Quorum,
  Trust,
  VerifierKey,
  Verification,
} from '../../lib/record/evidence/index.ts'
import { instant, table } from './output.ts'
import { parseCount, usage, withContext, type Session } from './session.ts'

export function addVerify(evidence: Command, session: Session): void {
  evidence
    .command('verify [file]')
    .description(
      'a proof, an exported folder or a copy of the bucket, offline, by public keys alone; without a file the whole living log',
    )
    .option('--origin <name>', 'name of the log; default: the configuration')
    .option('--keys <file>', 'its public keys, a line each; default: those of the keystore')
    .option('--head <file...>', 'signed heads kept elsewhere, which the living log has to continue')
    .option(
      '--witness <file>',
      'public keys of witnesses, a line each: some of them have to have cosigned it',
    )
    .option('--witnesses-needed <n>', 'how many of them; default: 1')
    .action((file: string | undefined, options: VerifyOptions) =>
      file === undefined ? verify(session, options) : verifyFile(session, file, options),
    )
}

interface VerifyOptions {
  head?: string[]
  origin?: string
  keys?: string
  witness?: string
  witnessesNeeded?: string
}

async function verifyFile(session: Session, file: string, options: VerifyOptions): Promise<void> {
  const {
    cosignaturesOf,
    HEAD_KEY,
    isConsistencyProof,
    verifyConsistency,
    verifyExport,
    verifyMirror,
    verifyProof,
  } = await import('../../lib/record/evidence/index.ts')
  if (options.head !== undefined)
    throw usage(
      '--head is for the living log; without a file to verify, or as: lethe evidence consistency HEAD.',
    )
  const trust = await trusted(session, options)
  const quorum = await quorumOf(options, [], trust.keys)
  if (await isThere(join(file, HEAD_KEY))) return report(session, await verifyMirror(file, trust))
  if (await isThere(join(file, 'events.jsonl'))) {
    const found = await verifyExport(file, trust.origin, trust.keys, quorum)
    const { events, first, last, absent } = found
    return session.output.data(
      found,
      `Holds: ${events} events, each proved to be in log ${trust.origin}${events === 0 ? '' : `, entries ${first} to ${last}${absent === 0 ? ' without a gap' : `; ${absent} entries between them are not in the export (another time, aged out, or taken out of it)`}`}${quorum.needed === 0 ? '' : `, under heads that at least ${quorum.needed} of the ${quorum.keys.length} witnesses cosigned`}.`,
    )
  }
  const text = await readText(file)
  if (isConsistencyProof(text)) {
    const { old, new: later } = verifyConsistency(text, trust)
    return session.output.data(
      { old: old.size, new: later.size },
      `Holds: the head of log ${trust.origin} at ${later.size} entries, signed on ${instant(later.at)}, continues the one at ${old.size}, signed on ${instant(old.at)}.`,
    )
  }
  const { index, content, checkpoint } = verifyProof(text, trust.origin, trust.keys, quorum)
  const cosigned = cosignaturesOf(checkpoint.note, quorum.keys)
  session.output.data(
    { index, content, size: checkpoint.size, signedAt: checkpoint.at.toISOString(), cosigned },
    `Holds: entry ${index} of log ${trust.origin}, signed at ${checkpoint.size} entries on ${instant(checkpoint.at)}.${cosignedBy(quorum, cosigned)}\n${JSON.stringify(content, null, 2)}`,
  )
}

async function verify(session: Session, options: VerifyOptions): Promise<void> {
  const { verifyLog } = await import('../../lib/record/evidence/index.ts')
  const { lostStatements } = await import('../../lib/record/decisions/index.ts')
  const { configuredWitnesses, keepFor, publishedHead } = await import('../../jobs/evidence/index.ts')
  await withContext(session, async (context) => {
    const trust = await trusted(session, options, context)
    const published = await publishedHead(context)
    const kept = await Promise.all((options.head ?? []).map(readHead))
    const found = await verifyLog(context.control, trust, {
      others: published === null ? kept : [published, ...kept],
      keep: keepFor(context),
      lostStatements,
    })
    const quorum = await quorumOf(
      options,
      configuredWitnesses(context).map(({ key }) => key),
      trust.keys,
    )
    if (found.breaks.length > 0) return report(session, found)
    const cosigned = await newestCosigned(context, quorum)
    report(session, { ...found, cosigned }, cosignedBy(quorum, cosigned))
  })
}

/** Exit code 30 where anything is broken. */
function report(session: Session, found: Verification & { cosigned?: Cosignature[] }, more = ''): void {
  const { output } = session
  const start = found.from === 0 ? '' : ` from entry ${found.from} on`
  const aged = found.aged === 0 ? '' : ` (${found.aged} aged out)`
  const figures = `${found.entries} entries hashed again${start}${aged}, ${found.heads} signed heads compared`
  if (found.breaks.length === 0) return output.data(found, `The log holds: ${figures}.${more}`)
  session.exitCode = 30
  output.data(
    found,
    `THE LOG IS BROKEN (${figures}). Copy what is there before anything else.\n${table(
      ['break', 'at', ''],
      found.breaks.map((one) => [one.kind, one.at, one.message]),
    )}`,
  )
}

/** The newest head's, of those asked for. Throws E_EVIDENCE_SIGNATURE. */
async function newestCosigned({ control }: Context, quorum: Quorum): Promise<Cosignature[]> {
  const { newestHead, parseNote, requireQuorum } = await import('../../lib/record/evidence/index.ts')
  const head = await newestHead(control)
  if (head !== null) return requireQuorum({ size: head.size, note: parseNote(head.note) }, quorum)
  if (quorum.needed === 0) return []
  throw new LetheError('E_EVIDENCE_PENDING', { message: 'No head of the evidence log is signed yet.' })
}

/** None is needed of `known` ones, unless the options say so. */
async function quorumOf(
  options: VerifyOptions,
  known: readonly VerifierKey[],
  own: readonly VerifierKey[],
): Promise<Quorum> {
  const { witness: file, witnessesNeeded } = options
  const keys = file === undefined ? known : await readKeys(file)
  const asked = witnessesNeeded === undefined ? null : parseCount(witnessesNeeded, '--witnesses-needed')
  if (keys.some(({ key }) => own.some((one) => one.key.equals(key))))
    throw usage("A key of the log itself is no witness's: a witness is somebody else.")
  if (asked !== null && keys.length === 0) throw usage('--witnesses-needed goes with --witness FILE.')
  return { keys, needed: asked ?? (file === undefined ? 0 : 1) }
}

function cosignedBy({ keys }: Quorum, found: readonly Cosignature[]): string {
  if (keys.length === 0) return ''
  const names = found.map(({ witness, at }) => `${witness} on ${instant(at)}`)
  return ` Cosigned by ${names.length === 0 ? `none of the ${keys.length} witnesses` : names.join(', ')}.`
}

/** By the files given, and nothing of ours, where both are; else by the configuration. */
export async function trusted(session: Session, options: VerifyOptions, context?: Context): Promise<Trust> {
  const { verifierKeys } = await import('../../lib/record/evidence/index.ts')
  const { origin, keys: file } = options
  if (origin !== undefined && file !== undefined) return { origin, keys: await readKeys(file) }
  const fromContext = async (used: Context): Promise<Trust> => {
    const ours = await logKeysOf(used)
    return {
      origin: origin ?? ours.origin,
      keys: file === undefined ? verifierKeys(ours) : await readKeys(file),
    }
  }
  return context === undefined ? withContext(session, fromContext) : fromContext(context)
}

async function readKeys(file: string): Promise<VerifierKey[]> {
  const { readVerifierKeys } = await import('../../lib/record/evidence/index.ts')
  const found = readVerifierKeys(await readText(file))
  if (found.length === 0) throw usage(`${file} holds no public key.`)
  return found
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

/** A signed head as a file of its own or as the end of a proof, whatever a mail has done to its line ends. Throws E_EVIDENCE_FORMAT. */
export async function readHead(file: string): Promise<string> {
  const { parseNote } = await import('../../lib/record/evidence/index.ts')
  const text = (await readText(file)).replaceAll('\r\n', '\n')
  const start = text.startsWith('c2sp.org/tlog-proof@') ? text.indexOf('\n\n') + 2 : 0
  const head = `${text.slice(start).trimEnd()}\n`
  parseNote(head)
  return head
}

/** Never over a file that is there. Throws E_USAGE. */
export async function writeNew(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx' })
  } catch (error) {
    const there = error instanceof Error && 'code' in error && error.code === 'EEXIST'
    throw usage(there ? `The file ${file} is there already.` : `The file ${file} can't be written.`)
  }
}

export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    throw usage(`The file ${file} can't be read.`)
  }
}

export async function logKeysOf(context: Context): Promise<LogKeys> {
  const { evidenceKeys } = await import('../../jobs/evidence/index.ts')
  const found = evidenceKeys(context)
  if (found !== null) return found
  throw new LetheError('E_CONFIG', {
    message: 'The configuration names no evidence log.',
    next: 'Add evidence: { origin: NAME } to it, or give --origin and --keys.',
  })
}
