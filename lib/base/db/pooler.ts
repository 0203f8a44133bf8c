/**
 * Finds a connection pool in transaction or statement mode, where session settings (row_security!), session locks and
 * prepared statements land on whichever server connection comes next.
 *
 * Step 1 costs one round trip: the process id of the connection's handshake is the server's own unless a pooler answered.
 * Step 2, only behind a pooler, proves the mode: this connection sets a custom setting outside a transaction, a second
 * one opens a transaction and so takes a server connection, and this one looks for its setting again. In session mode
 * it is there: the server connection stayed ours. In transaction mode it was given back, the second took it (PgBouncer
 * hands out the last one used), and ours is gone, or the backend is another one, or none is free.
 */
import pg from 'pg'
import { z } from 'zod'
import { newId, sleep } from '../clock/index.ts'
import { LetheError } from '../errors/index.ts'

const handshake = z.object({ processID: z.number().nullable() })
const view = z.object({ pid: z.number(), mark: z.string().nullable() })
const LOOK = `SELECT pg_backend_pid() AS pid, current_setting('lethe.pooler_probe', true) AS mark`
/** A pool whose connections are all taken makes the asker wait; that is an answer too. */
const WAIT_MS = 2000

/** Throws E_POOLER_TRANSACTION_MODE; leaves nothing behind but the custom setting on that pool's connection. */
export async function refuseTransactionPooler(
  client: pg.ClientBase,
  url: string,
  options: { name: string; applicationName: string },
): Promise<void> {
  const mark = newId()
  const first = view.parse((await client.query(LOOK)).rows[0])
  if (handshake.parse(client).processID === first.pid) return
  await client.query(`SET lethe.pooler_probe = '${mark}'`)
  const before = view.parse((await client.query(LOOK)).rows[0])
  if (before.mark === mark && !(await losesServer(client, url, options, mark, before.pid))) return
  throw new LetheError('E_POOLER_TRANSACTION_MODE', {
    message: `Database ${options.name}: its address leads to a connection pool in transaction or statement mode.`,
    facts: { database: options.name },
  })
}

async function losesServer(
  client: pg.ClientBase,
  url: string,
  options: { applicationName: string },
  mark: string,
  pid: number,
): Promise<boolean> {
  const second = new pg.Client({
    connectionString: url,
    application_name: options.applicationName,
    connectionTimeoutMillis: WAIT_MS,
  })
  second.on('error', () => undefined)
  const over = new AbortController()
  let connected = false
  let refused = false
  const occupy = async () => {
    try {
      await second.connect()
      connected = true
      await second.query('BEGIN')
      await second.query('SELECT 1')
    } catch {
      // A pool in statement mode takes no transaction. A connection that was not even made says nothing.
      refused = connected && !over.signal.aborted
    }
  }
  try {
    await Promise.race([occupy(), pause(WAIT_MS, over.signal)])
    if (refused) return true
    // Whether the second one got through or waits for a free server connection: in session mode ours answers at once.
    const look = client.query(LOOK).then((result) => view.parse(result.rows[0]))
    const seen = await Promise.race([look, pause(WAIT_MS, over.signal)])
    if (seen === undefined) {
      // We wait for a server connection, though we had one a moment ago; it comes free when the second client goes.
      await second.end()
      await look
      return true
    }
    return seen.mark !== mark || seen.pid !== pid
  } finally {
    over.abort()
    await second.end().catch(() => undefined)
  }
}

/** Resolves after `ms`, or as soon as nobody waits any more. */
function pause(ms: number, signal: AbortSignal): Promise<undefined> {
  return sleep(ms, signal).then(
    () => undefined,
    () => undefined,
  )
}
