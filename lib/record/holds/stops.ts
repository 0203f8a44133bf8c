/**
 * What stands still: a store, stopped by a signed decision, so that nothing is destroyed in it or for its subjects; a policy,
 * paused by whoever reaches the command line, so that nothing goes on that it began. A stop is recorded here first and
 * projected into the target after it; either alone keeps workers from destroying.
 */
import { z } from 'zod'
import { prepared, type Database, type Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { recordDecision, type Attested } from '../decisions/index.ts'
import { appendEvent } from '../evidence/index.ts'

export const stopScopes = ['store', 'policy'] as const
const stopRow = z.object({
  scope: z.enum(stopScopes),
  name: z.string(),
  since: z.date(),
  actor: z.string(),
})
export type Stop = z.infer<typeof stopRow>

/** The oldest first. */
export async function listStops(control: Queryable): Promise<Stop[]> {
  return control.query(
    stopRow,
    prepared('SELECT scope, name, since, actor FROM lethe_control.stops ORDER BY since, scope, name'),
  )
}

export async function stoppedStores(control: Queryable): Promise<Set<string>> {
  return new Set((await listStops(control)).flatMap(({ scope, name }) => (scope === 'store' ? [name] : [])))
}

export async function isPaused(control: Queryable, policy: string): Promise<boolean> {
  return (await listStops(control)).some(({ scope, name }) => scope === 'policy' && name === policy)
}

/** A store that is stopped already stays so. */
export async function stopStore(control: Database, store: string, by: Attested): Promise<void> {
  const { name: actor, method } = by.identity
  await control.transaction((tx) =>
    recordDecision(
      tx,
      by,
      (statement) =>
        tx.execute(
          `INSERT INTO lethe_control.stops (scope, name, actor, method, statement_hash)
           VALUES ('store', $1, $2, $3, decode($4, 'hex')) ON CONFLICT DO NOTHING`,
          [store, actor, method, statement],
        ),
      (signed) => ({ type: 'store.stopped', data: { store, ...signed } }),
      // the same command again, since the target did not answer: it is projected then
      async (statement) => {
        const rows = await tx.query(
          z.object({ name: z.string() }),
          `SELECT name FROM lethe_control.stops WHERE scope = 'store' AND name = $1 AND statement_hash = decode($2, 'hex')`,
          [store, statement],
        )
        return rows.length === 0 ? null : { made: 0 }
      },
    ),
  )
}

/** Throws E_NOT_FOUND where it isn't stopped. */
export async function resumeStore(control: Database, store: string, by: Attested): Promise<void> {
  await control.transaction((tx) =>
    recordDecision(
      tx,
      by,
      async () => {
        const gone = await tx.execute(`DELETE FROM lethe_control.stops WHERE scope = 'store' AND name = $1`, [
          store,
        ])
        if (gone === 0) throw new LetheError('E_NOT_FOUND', { message: `Store ${store} is not stopped.` })
      },
      (signed) => ({ type: 'store.resumed', data: { store, ...signed } }),
    ),
  )
}

/** Idempotent. */
export async function pausePolicy(control: Database, policy: string, actor: string): Promise<void> {
  await control.transaction(async (tx) => {
    const made = await tx.execute(
      `INSERT INTO lethe_control.stops (scope, name, actor, method) VALUES ('policy', $1, $2, 'command-line')
       ON CONFLICT DO NOTHING`,
      [policy, actor],
    )
    if (made > 0) await appendEvent(tx, { type: 'policy.paused', actor, data: { policy } })
  })
}

/** False: it was not paused. */
export async function resumePolicy(control: Database, policy: string, actor: string): Promise<boolean> {
  return control.transaction(async (tx) => {
    const gone = await tx.execute(`DELETE FROM lethe_control.stops WHERE scope = 'policy' AND name = $1`, [
      policy,
    ])
    if (gone > 0) await appendEvent(tx, { type: 'policy.resumed', actor, data: { policy } })
    return gone > 0
  })
}
