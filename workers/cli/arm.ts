/** `lethe arm POLICY`: from observing to destroying, and back. */
import { attested, withEvidence, type EvidenceOptions } from './evidence.ts'
import { withContext, type AddCommands, type Session } from './session.ts'

export const armCommands: AddCommands = (program, session) => {
  withEvidence(
    program
      .command('arm <policy>')
      .description('let this version of a policy destroy; a changed policy observes until it is armed again')
      .requiredOption('--reason <text>', 'why; no personal data')
      .option('--observe', 'disarm: only plan and report from now on; a run under way is called off'),
  ).action((policy: string, options: ArmOptions) => arm(session, policy, options))
}

interface ArmOptions extends EvidenceOptions {
  reason: string
  observe?: boolean
}

async function arm(session: Session, name: string, options: ArmOptions): Promise<void> {
  const { armStatement, findPolicy, setMode } = await import('../../jobs/retention/index.ts')
  await withContext(session, async (context) => {
    const mode = options.observe === true ? 'observe' : 'armed'
    const decided = armStatement(findPolicy(context, name), mode, options.reason)
    const by = await attested(session, context, decided, options)
    if (by === null) return
    const now = await setMode(context, name, mode, by)
    session.output.data(
      { ...now, actor: by.identity.name },
      now.mode === 'armed'
        ? `Policy ${name} is armed as version ${now.version.slice(0, 12)}, by ${by.identity.name}. Its next run may destroy what is approved.`
        : `Policy ${name} only observes now.`,
    )
  })
}
