/** `lethe work ROLE…`: a process that runs until it is told to stop. */
import { LetheError } from '../../lib/base/errors/index.ts'
import { usage, type AddCommands, type Session } from './session.ts'
import { version } from './version.ts'

export const workCommands: AddCommands = (program, session) => {
  program
    .command('work <roles...>')
    .description('run roles in this process: dispatcher, retention, erasure, evidence, or all')
    .option('--once', 'dispatcher: one round, then end')
    .action((roles: string[], options: { once?: boolean }) =>
      options.once === true ? once(session, roles) : work(session, roles),
    )
}

/** The process ends at once afterwards: work past its deadline may still hold sockets open. */
async function work(session: Session, roles: readonly string[]): Promise<never> {
  session.interruptible = false
  const main = await import('../main.ts')
  process.exit(await main.work(roles, { env: session.env, version: version() }))
}

async function once(session: Session, roles: readonly string[]): Promise<void> {
  if (roles.length !== 1 || roles[0] !== 'dispatcher') throw usage('--once is for the dispatcher alone.')
  const [{ openContext }, { leaseName, runOnce }, { openQueues }, { releaseLease }, { registry }] =
    await Promise.all([
      import('../context.ts'),
      import('../dispatcher.ts'),
      import('../../lib/base/queue/index.ts'),
      import('../../lib/record/ledger/index.ts'),
      import('../../jobs/registry.ts'),
    ])
  const opened = await openContext('dispatcher', { LETHE_LOG_LEVEL: 'warn', ...session.env })
  try {
    const { context } = opened
    const { config } = context
    const queueSettings = { url: config.redisUrl, prefix: config.file.operations.redis_prefix }
    const queues = openQueues(queueSettings, registry.queues())
    const heartbeat = config.file.operations.heartbeat_url
    try {
      const round = await runOnce({
        context,
        registry,
        queues,
        queueSettings,
        heartbeatUrl: heartbeat === undefined ? null : config.secret(heartbeat),
      })
      session.output.data(
        round,
        round.leader
          ? `One round: ${round.created} runs created, ${round.skipped} occurrences skipped, ${round.woken} woken, ${round.enqueued} enqueued${round.failures.length === 0 ? '.' : `; failed: ${round.failures.join(', ')}.`}`
          : 'Nothing was done.',
      )
      if (!round.leader)
        throw new LetheError('E_LEASED', {
          message: 'Another dispatcher leads.',
          next: 'Nothing to do while it turns; after it dies its lease ends by itself, then start this again.',
        })
      if (round.failures.length > 0) session.exitCode = 3
    } finally {
      // Kept, it would stop the next dispatcher for as long as a dead one's.
      await releaseLease(context.control, leaseName, context.workerId)
      await queues.close()
    }
  } finally {
    await opened.close()
  }
}
