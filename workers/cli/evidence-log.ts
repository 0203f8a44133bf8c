/** `lethe evidence …`: the log of what Lethe did, and proofs of it for people who trust neither us nor the database. */
import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from '../../jobs/context.ts'
import { LetheError } from '../../lib/errors/index.ts'
import type { LogKeys, Trust, VerifierKey, Verification } from '../../lib/evidence/index.ts'
import { instant, table } from './output.ts'
import { parseInstant, usage, withContext, type AddCommands, type Session } from './session.ts'

export const evidenceLogCommands: AddCommands = (program, session) => {
  const evidence = program
    .command('evidence')
    .description('the log of what Lethe did: signed, provable, verifiable offline')
  evidence
    .command('status')
    .description('how far the log is, when its head was signed, what waits')
    .action(() => status(session))
  evidence
    .command('keys')
    .description('the public keys; publish them where nobody who runs Lethe can change them')
    .option('--check <file>', 'exit code 30 unless the published file names every one of them')
    .action((options: { check?: string }) => keys(session, options))
  evidence
    .command('lock <period>')
    .description('type the configured lock period back, before anything is locked for it in compliance mode')
    .action((period: string) => lock(session, period))
  evidence
    .command('proof <event>')
    .description('a self-contained .tlog-proof file: this was recorded, and the log holds it')
    .option('--out <file>', 'default: event-NUMBER.tlog-proof; - for stdout')
    .action((event: string, options: { out?: string }) => proof(session, event, options))
  evidence
    .command('consistency <head>')
    .description('a file that proves that the newest head continues a signed head that somebody kept')
    .option('--out <file>', 'default: OLD-NEW.tlog-consistency; - for stdout')
    .action((head: string, options: { out?: string }) => consistency(session, head, options))
  evidence
    .command('export')
    .description('events of a stretch as JSON Lines and CSV, with a proof of each, into a new folder')
    .requiredOption('--from <time>', 'first instant, or a day')
    .requiredOption('--to <time>', 'the instant behind the last, or a day')
    .requiredOption('--out <folder>', 'made if it is not there; has to be empty')
    .action((options: { from: string; to: string; out: string }) => exported(session, options))
  evidence
    .command('verify [file]')
    .description(
      'a proof, an exported folder or a copy of the bucket, offline, by public keys alone; without a file the whole living log',
    )
    .option('--origin <name>', 'name of the log; default: the configuration')
    .option('--keys <file>', 'its public keys, a line each; default: those of the keystore')
    .option('--head <file...>', 'signed heads kept elsewhere, which the living log has to continue')
    .action((file: string | undefined, options: VerifyOptions) =>
      file === undefined ? verify(session, options) : verifyFile(session, file, options),
    )
}

async function status(session: Session): Promise<void> {
  const { logStatus } = await import('../../lib/evidence/index.ts')
  await withContext(session, async ({ control, config }) => {
    const found = await logStatus(control)
    const origin = config.file.evidence?.origin ?? null
    session.output.data(
      { origin, ...found },
      table(
        ['evidence log', ''],
        [
          ['origin', origin ?? 'none: evidence.origin is not configured, so no head is signed'],
          ['entries', found.size],
          ['events without an index', found.waiting],
          [
            'newest head',
            found.head === null ? 'none' : `${found.head.size} entries, ${instant(found.head.at)}`,
          ],
          ['published', found.publishedSize === null ? 'nothing' : `${found.publishedSize} entries`],
          [
            'locked for',
            found.lockedFor ?? 'not confirmed: nothing is published before `lethe evidence lock`',
          ],
          ['verified', found.verifiedSize === 0 ? 'not yet' : `${found.verifiedSize} entries`],
        ],
      ),
    )
  })
}

async function keys(session: Session, options: { check?: string }): Promise<void> {
  const { publishedKeys } = await import('../../lib/evidence/index.ts')
  await withContext(session, async (context) => {
    const lines = publishedKeys(await logKeysOf(context))
    if (options.check !== undefined) {
      const published = (await readText(options.check)).split('\n').map((line) => line.trim())
      const missing = lines.filter((line) => !published.includes(line))
      if (missing.length > 0) session.exitCode = 30
      return session.output.data(
        { missing },
        missing.length === 0
          ? `${options.check} names every key of the log.`
          : `${options.check} lacks ${missing.length === 1 ? 'a key' : 'keys'}; add without taking an older one out:\n${missing.join('\n')}`,
      )
    }
    session.output.data({ keys: lines }, lines.join('\n'))
  })
}

async function lock(session: Session, period: string): Promise<void> {
  const { confirmLock } = await import('../../jobs/evidence/index.ts')
  await withContext(session, async (context) => {
    const confirmed = await confirmLock(context, period)
    session.output.data(
      { lock: confirmed },
      `From now on each object of the evidence log is locked for ${confirmed}: nobody, not even the account's owner, can delete it before.`,
    )
  })
}

async function proof(session: Session, event: string, options: { out?: string }): Promise<void> {
  const { proveEvent } = await import('../../lib/evidence/index.ts')
  await withContext(session, async ({ control }) => {
    const text = await proveEvent(control, event)
    const file = options.out ?? `event-${event}.tlog-proof`
    if (file === '-') return session.output.data({ proof: text }, text.trimEnd())
    await writeFile(file, text)
    session.output.data(
      { file },
      `${file} proves event ${event}. Whoever has the public keys checks it offline: lethe evidence verify ${file} --keys FILE --origin NAME`,
    )
  })
}

async function consistency(session: Session, file: string, options: { out?: string }): Promise<void> {
  const { proveConsistency, verifyConsistency } = await import('../../lib/evidence/index.ts')
  await withContext(session, async (context) => {
    const trust = await trusted(session, {}, context)
    const text = await proveConsistency(context.control, trust, await readText(file))
    const { old, new: later } = verifyConsistency(text, trust)
    const out = options.out ?? `${old.size}-${later.size}.tlog-consistency`
    if (out === '-') return session.output.data({ proof: text }, text.trimEnd())
    await writeFile(out, text)
    session.output.data(
      { file: out, old: old.size, new: later.size },
      `${out} proves that the head at ${later.size} entries continues the one at ${old.size}. Checked offline: lethe evidence verify ${out} --keys FILE --origin NAME`,
    )
  })
}

async function exported(session: Session, options: { from: string; to: string; out: string }): Promise<void> {
  const { exportEvents } = await import('../../lib/evidence/index.ts')
  const from = parseInstant(options.from, '--from')
  const to = parseInstant(options.to, '--to')
  if (from >= to) throw usage('--from is not before --to.')
  await withContext(session, async ({ control }) => {
    const found = await exportEvents(control, { from, to }, options.out)
    session.output.data(
      { folder: options.out, ...found },
      `${options.out}: ${found.events} events as events.jsonl and events.csv, a proof of each in proofs/ (log of ${found.size} entries)${found.aged === 0 ? '' : `; ${found.aged} more have aged out`}. Checked offline: lethe evidence verify ${options.out} --keys FILE --origin NAME`,
    )
  })
}

interface VerifyOptions {
  head?: string[]
  origin?: string
  keys?: string
}

async function verifyFile(session: Session, file: string, options: VerifyOptions): Promise<void> {
  const { HEAD_KEY, isConsistencyProof, verifyConsistency, verifyExport, verifyMirror, verifyProof } =
    await import('../../lib/evidence/index.ts')
  const trust = await trusted(session, options)
  if (await isThere(join(file, HEAD_KEY))) return report(session, await verifyMirror(file, trust))
  if (await isThere(join(file, 'events.jsonl'))) {
    const found = await verifyExport(file, trust.origin, trust.keys)
    const { events, first, last, absent } = found
    return session.output.data(
      found,
      `Holds: ${events} events, each proved to be in log ${trust.origin}${events === 0 ? '' : `, entries ${first} to ${last}${absent === 0 ? ' without a gap' : `; ${absent} entries between them are not in the export (another time, aged out, or taken out of it)`}`}.`,
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
  const { index, content, checkpoint } = verifyProof(text, trust.origin, trust.keys)
  session.output.data(
    { index, content, size: checkpoint.size, signedAt: checkpoint.at.toISOString() },
    `Holds: entry ${index} of log ${trust.origin}, signed at ${checkpoint.size} entries on ${instant(checkpoint.at)}.\n${JSON.stringify(content, null, 2)}`,
  )
}

async function verify(session: Session, options: VerifyOptions): Promise<void> {
  const { verifyLog } = await import('../../lib/evidence/index.ts')
  const { keepFor, publishedHead } = await import('../../jobs/evidence/index.ts')
  await withContext(session, async (context) => {
    const trust = await trusted(session, options, context)
    const published = await publishedHead(context)
    const kept = await Promise.all((options.head ?? []).map(readText))
    const found = await verifyLog(context.control, trust, {
      others: published === null ? kept : [published, ...kept],
      keep: keepFor(context),
    })
    report(session, found)
  })
}

/** Exit code 30 where anything is broken. */
function report(session: Session, found: Verification): void {
  const { output } = session
  const start = found.from === 0 ? '' : ` from entry ${found.from} on`
  const aged = found.aged === 0 ? '' : ` (${found.aged} aged out)`
  const figures = `${found.entries} entries hashed again${start}${aged}, ${found.heads} signed heads compared`
  if (found.breaks.length === 0) return output.data(found, `The log holds: ${figures}.`)
  session.exitCode = 30
  output.data(
    found,
    `THE LOG IS BROKEN (${figures}). Copy what is there before anything else.\n${table(
      ['break', 'at', ''],
      found.breaks.map((one) => [one.kind, one.at, one.message]),
    )}`,
  )
}

/** By the files given, and nothing of ours, where both are; else by the configuration. */
async function trusted(session: Session, options: VerifyOptions, context?: Context): Promise<Trust> {
  const { verifierKeys } = await import('../../lib/evidence/index.ts')
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
  const { parseVerifierKey } = await import('../../lib/evidence/index.ts')
  const lines = (await readText(file))
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
  if (lines.length === 0) throw usage(`${file} holds no public key.`)
  return lines.map(parseVerifierKey)
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    throw usage(`The file ${file} can't be read.`)
  }
}

async function logKeysOf(context: Context): Promise<LogKeys> {
  const { evidenceKeys } = await import('../../jobs/evidence/index.ts')
  const found = evidenceKeys(context)
  if (found !== null) return found
  throw new LetheError('E_CONFIG', {
    message: 'The configuration names no evidence log.',
    next: 'Add evidence: { origin: NAME } to it, or give --origin and --keys.',
  })
}
