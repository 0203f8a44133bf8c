/** `lethe stop STORE` and `lethe resume STORE`: one switch for everything that destroys. */
import { attested, withEvidence, type EvidenceOptions } from './evidence.ts'
import { withContext, type AddCommands, type Session } from './session.ts'

interface StopOptions extends EvidenceOptions {
  reason: string
}

export const stopCommands: AddCommands = (program, session) => {
  withEvidence(
    program
      .command('stop <store>')
      .description('stop whatever destroys in a store: sweeps, erasure requests, the cut of access')
      .requiredOption('--reason <text>', 'why; no personal data'),
  ).action((store: string, options: StopOptions) => stop(session, store, options))
  withEvidence(
    program
      .command('resume <store>')
      .description('let a stopped store go on (role cto)')
      .requiredOption('--reason <text>', 'why; no personal data'),
  ).action((store: string, options: StopOptions) => resume(session, store, options))
}

async function stop(session: Session, store: string, options: StopOptions): Promise<void> {
  const jobs = await import('../../jobs/stops.ts')
  await withContext(session, async (context) => {
    const by = await attested(
      session,
      context,
      jobs.stopStatement('store.stop', store, options.reason),
      options,
    )
    if (by === null) return
    await jobs.stop(context, store, by)
    session.output.data(
      { store, stopped: true, actor: by.identity.name },
      `Store ${store} is stopped, by ${by.identity.name}: nothing more is destroyed in it, or for its subjects elsewhere. Calls that were under way to other services end by themselves. Requests are still written down, and their months run.`,
    )
  })
}

async function resume(session: Session, store: string, options: StopOptions): Promise<void> {
  const jobs = await import('../../jobs/stops.ts')
  await withContext(session, async (context) => {
    const by = await attested(
      session,
      context,
      jobs.stopStatement('store.resume', store, options.reason),
      options,
    )
    if (by === null) return
    await jobs.resume(context, store, by)
    session.output.data(
      { store, stopped: false, actor: by.identity.name },
      `Store ${store} goes on, by ${by.identity.name}. What waited is taken up within a minute.`,
    )
  })
}
