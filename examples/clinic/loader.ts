/** A few connections that take rows by COPY. What waits is bounded: one chunk a connection. */
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'

export class Loader {
  readonly #clients: pg.Client[] = []
  readonly #idle: pg.Client[] = []
  readonly #busy = new Set<Promise<void>>()

  static async open(url: string, connections: number): Promise<Loader> {
    const loader = new Loader()
    try {
      for (let number = 0; number < connections; number++) {
        const client = new pg.Client({ connectionString: url, application_name: 'clinic-generator' })
        // a lost connection fails the statement that runs on it; without a listener it would end the process instead
        client.on('error', () => undefined)
        await client.connect()
        loader.#clients.push(client)
        loader.#idle.push(client)
        // a crash in the middle of a load leaves a database nobody will use: no need to wait for the disk
        await client.query(
          "SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; SET statement_timeout = 0",
        )
      }
    } catch (error) {
      await loader.close()
      throw error
    }
    return loader
  }

  /** Starts a COPY as soon as a connection is free; waits only for that. Throws what an earlier one failed with. */
  async copy(statement: string, text: string): Promise<void> {
    const client = await this.#take()
    const send = async (): Promise<void> => {
      // one byte a character: the clinic writes ASCII only
      await pipeline([Buffer.from(text, 'latin1')], client.query(copyFrom(statement)))
      this.#idle.push(client)
      this.#busy.delete(work)
    }
    const work = send()
    // it stays among the busy ones, where the next wait meets its error
    work.catch(() => undefined)
    this.#busy.add(work)
  }

  /** Waits until everything sent has arrived. */
  async settle(): Promise<void> {
    await Promise.all(this.#busy)
  }

  /** Runs SQL (several statements are one transaction) on a connection of its own. */
  async run(sql: string, values?: readonly unknown[]): Promise<readonly unknown[]> {
    const client = await this.#take()
    try {
      const result = values === undefined ? await client.query(sql) : await client.query(sql, [...values])
      return Array.isArray(result) ? [] : result.rows
    } finally {
      this.#idle.push(client)
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#busy)
    await Promise.all(this.#clients.map((client) => client.end()))
  }

  async #take(): Promise<pg.Client> {
    for (;;) {
      const client = this.#idle.pop()
      if (client !== undefined) return client
      await Promise.race(this.#busy)
    }
  }
}
