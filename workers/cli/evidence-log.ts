/** `lethe evidence …`: the log of what Lethe did, and proofs of it for people who trust neither us nor the database. */
import { addVerify, logKeysOf, readHead, readText, trusted, writeNew } from './evidence-verify.ts'
import { attested, withEvidence, type EvidenceOptions } from './evidence.ts'
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
  addVerify(evidence, session)
  withEvidence(
    evidence
      .command('erase-text <hash>')
      .description('erase what somebody typed and signed; the evidence keeps its hash')
      .requiredOption('--reason <text>', 'why; no personal data'),
  ).action((hash: string, options: EvidenceOptions & { reason: string }) =>
    eraseText(session, hash.toLowerCase(), options),
  )
}

async function status(session: Session): Promise<void> {
  const { logStatus, witnessId, witnessStates } = await import('../../lib/record/evidence/index.ts')
  const { configuredWitnesses } = await import('../../jobs/evidence/index.ts')
  await withContext(session, async (context) => {
    const { control, config } = context
    const found = await logStatus(control)
    const origin = config.file.evidence?.origin ?? null
    const states = await witnessStates(control)
    const witnesses = configuredWitnesses(context).map(({ key }) => {
      const last = states.find(({ witness }) => witness === witnessId(key))
      return {
        witness: witnessId(key),
        name: key.name,
        size: last?.size ?? null,
        cosignedAt: last?.cosignedAt ?? null,
      }
    })
    session.output.data(
      { origin, ...found, witnesses },
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
          ...witnesses.map(({ name, size, cosignedAt }) => [
            `witness ${name}`,
            size === null ? 'has cosigned nothing yet' : `${size} entries, ${instant(cosignedAt)}`,
          ]),
        ],
      ),
    )
  })
}

async function keys(session: Session, options: { check?: string }): Promise<void> {
  const { publishedKeys } = await import('../../lib/record/evidence/index.ts')
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
  const { proveEvent } = await import('../../lib/record/evidence/index.ts')
  await withContext(session, async ({ control }) => {
    const text = await proveEvent(control, event)
    const file = options.out ?? `event-${event}.tlog-proof`
    if (file === '-') return session.output.data({ proof: text }, text.trimEnd())
    await writeNew(file, text)
    session.output.data(
      { file },
      `${file} proves event ${event}. Whoever has the public keys checks it offline: lethe evidence verify ${file} --keys FILE --origin NAME`,
    )
  })
}

async function consistency(session: Session, file: string, options: { out?: string }): Promise<void> {
  const { proveConsistency, verifyConsistency } = await import('../../lib/record/evidence/index.ts')
  await withContext(session, async (context) => {
    const trust = await trusted(session, {}, context)
    const text = await proveConsistency(context.control, trust, await readHead(file))
    const { old, new: later } = verifyConsistency(text, trust)
    const out = options.out ?? `${old.size}-${later.size}.tlog-consistency`
    if (out === '-') return session.output.data({ proof: text }, text.trimEnd())
    await writeNew(out, text)
    session.output.data(
      { file: out, old: old.size, new: later.size },
      `${out} proves that the head at ${later.size} entries continues the one at ${old.size}. Checked offline: lethe evidence verify ${out} --keys FILE --origin NAME`,
    )
  })
}

async function exported(session: Session, options: { from: string; to: string; out: string }): Promise<void> {
  const { exportEvents } = await import('../../lib/record/evidence/index.ts')
  const from = parseInstant(options.from, '--from')
  const to = parseInstant(options.to, '--to')
  if (from >= to) throw usage('--from is not before --to.')
  await withContext(session, async ({ control }) => {
    const found = await exportEvents(control, { from, to }, options.out)
    session.output.data(
      { folder: options.out, ...found },
      `${options.out}: ${found.events} events as events.jsonl and events.csv, a proof of each in proofs/ (log of ${found.size} entries)${found.aged === 0 ? '' : `; ${found.aged} more have aged out`}${found.pending === 0 ? '' : `; ${found.pending} more are not in it, since no signed head covers them yet`}. Checked offline: lethe evidence verify ${options.out} --keys FILE --origin NAME`,
    )
  })
}

async function eraseText(
  session: Session,
  hash: string,
  options: EvidenceOptions & { reason: string },
): Promise<void> {
  const jobs = await import('../../jobs/evidence/index.ts')
  await withContext(session, async (context) => {
    const by = await attested(session, context, jobs.eraseTextStatement(hash, options.reason), options)
    if (by === null) return
    const erased = await jobs.eraseText(context, hash, by)
    session.output.data(
      { ...erased, actor: by.identity.name },
      erased.before
        ? `The statement ${hash} was erased before, at ${instant(erased.at)}; nothing was changed.`
        : `The statement ${hash} is erased, by ${by.identity.name}. The evidence keeps its hash; backups keep the text until they are gone.`,
    )
  })
}
