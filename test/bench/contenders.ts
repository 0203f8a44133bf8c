/** What teams do without Lethe, on the same data: the two contenders of the purge bench. */
import { children, rowsPerSubject, withClient } from './dataset.ts'

const due = `deleted_at < now() - interval '30 days'`

/** PostgreSQL's own way: one statement, cascades by foreign keys. Returns rows per second. */
export async function cascade(url: string): Promise<number> {
  return withClient(url, async (client) => {
    const start = performance.now()
    const result = await client.query(`DELETE FROM patients WHERE ${due}`)
    return ((result.rowCount ?? 0) * rowsPerSubject * 1000) / (performance.now() - start)
  })
}

/** As applications do it: one transaction a subject, a statement a table. Measured on the first `subjects` due ones. */
export async function perSubject(url: string, subjects: number): Promise<number> {
  return withClient(url, async (client) => {
    const found = await client.query<{ id: string }>(
      `SELECT id FROM patients WHERE ${due} ORDER BY deleted_at LIMIT $1`,
      [subjects],
    )
    let rows = 0
    const start = performance.now()
    for (const { id } of found.rows) {
      await client.query('BEGIN')
      for (const child of children) {
        rows += (await client.query(`DELETE FROM ${child.table} WHERE patient_id = $1`, [id])).rowCount ?? 0
      }
      rows += (await client.query('DELETE FROM patients WHERE id = $1', [id])).rowCount ?? 0
      await client.query('COMMIT')
    }
    return (rows * 1000) / (performance.now() - start)
  })
}

/** Small reads and writes on subjects that stay, at a steady pace. Stop it by the signal; returns its latencies in ms. */
export async function foreground(
  url: string,
  subjects: number,
  dueEvery: number,
  perSecond: number,
  signal: AbortSignal,
): Promise<number[]> {
  const latencies: number[] = []
  await withClient(url, async (client) => {
    const interval = 1000 / perSecond
    let next = performance.now()
    for (let i = 0; !signal.aborted; i++) {
      const wait = next - performance.now()
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      // open loop: latency counts from when the request was due, so that a stall isn't hidden
      const drawn = 1 + ((i * 104_729) % subjects)
      const id = drawn % dueEvery === 0 ? drawn - 1 : drawn
      if (i % 2 === 0)
        await client.query(
          'SELECT p.full_name, a.at FROM patients p LEFT JOIN appointments a ON a.patient_id = p.id WHERE p.id = $1',
          [id],
        )
      else
        await client.query(
          'UPDATE messages SET at = now() WHERE id = (SELECT id FROM messages WHERE patient_id = $1 LIMIT 1)',
          [id],
        )
      latencies.push(performance.now() - next)
      next += interval
    }
  })
  return latencies
}

export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}
