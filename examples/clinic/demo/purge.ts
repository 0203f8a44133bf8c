/** The first half: the nightly purge as cron would run it, with a worker killed in the middle. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lethe, output, query, say, title, waitFor, work, type Stage } from './stage.ts'

export const policy = 'deleted-patients'

export async function purge({ home, env, controlUrl }: Stage): Promise<void> {
  title('What would go (changes nothing)')
  await lethe(env, 'retention', 'plan', policy)

  title('Arm the policy: it only observed until now')
  await lethe(env, 'arm', policy, '--reason', 'demo: reports of the last nights reviewed')

  title('Night falls: the dispatcher finds an occurrence due and the worker proposes')
  await lethe(env, 'work', 'dispatcher', '--once')
  await query(
    controlUrl,
    `UPDATE lethe_control.schedules SET evaluated_until = now() - interval '1 day' WHERE id = 'sweep:${policy}'`,
  )
  work(env, 'dispatcher')
  const first = work(env, 'retention')
  const proposal = await waitFor(
    controlUrl,
    `SELECT id FROM lethe_control.proposals WHERE policy = '${policy}' AND state = 'waiting'`,
  )
  const run = await waitFor(
    controlUrl,
    `SELECT run_id AS id FROM lethe_control.proposals WHERE id = '${proposal}'`,
  )
  const schedule = await waitFor(
    controlUrl,
    `SELECT schedule_id || ' at ' || at AS id FROM lethe_control.occurrences WHERE run_id = '${run}'`,
  )
  say(`occurrence ${schedule} became run ${run}; its proposal waits for a person`)

  title('A person approves, with a signature')
  const reason = 'appraised: accounts closed by their patients over 30 days ago'
  await lethe(env, 'retention', 'approve', proposal, '--reason', reason)

  title('The worker is killed in the middle; another finishes')
  await waitFor(
    controlUrl,
    `SELECT run_id AS id FROM lethe_control.batches WHERE run_id = '${run}' AND number >= 2`,
  )
  first.kill('SIGKILL')
  say(`kill -9 ${first.pid}; a second worker takes the run over when the lease ends`)
  work(env, 'retention')
  await waitFor(controlUrl, `SELECT id FROM lethe_control.runs WHERE id = '${run}' AND state = 'succeeded'`)

  title('The report')
  await lethe(env, 'retention', 'report', run)
  title("The run's whole story")
  await lethe(env, 'runs', 'show', run)
  await proveApproval({ home, env, controlUrl }, run)

  title('Next night: nobody is due')
  await lethe(env, 'retention', 'plan', policy)
}

async function proveApproval(
  { home, env, controlUrl }: Pick<Stage, 'home' | 'env' | 'controlUrl'>,
  run: string,
): Promise<void> {
  title('The approval, proved to somebody who trusts neither us nor the database')
  work(env, 'evidence')
  await waitFor(controlUrl, 'SELECT size::text AS id FROM lethe_control.evidence_checkpoints')
  const event = await waitFor(
    controlUrl,
    `SELECT id::text AS id FROM lethe_control.events WHERE run_id = '${run}' AND type = 'proposal.approved'`,
  )
  const [proof, keys] = [join(home, 'approved.tlog-proof'), join(home, 'published.keys')]
  await lethe(env, 'evidence', 'proof', event, '--out', proof)
  await writeFile(keys, await output(env, 'evidence', 'keys'))
  say('Offline, with the published keys and nothing else:')
  const nothing = { PATH: process.env['PATH'] }
  await lethe(nothing, 'evidence', 'verify', proof, '--keys', keys, '--origin', 'clinic.example/lethe')
}
