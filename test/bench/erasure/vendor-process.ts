/** The emulated vendors' process, from outside. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { addresses, tally, type Addresses, type Order } from './vendors.ts'

export interface Vendors extends Addresses {
  load(ids: readonly string[]): Promise<void>
  /** Calls by name since the last count; throws where anything is left. */
  countEmptied(): Promise<Record<string, number>>
  stop(): void
}

export async function startVendors(): Promise<Vendors> {
  const child = fork(new URL('vendors.ts', import.meta.url), { stdio: 'inherit' })
  const heard = async () => (await once(child, 'message'))[0] as unknown
  const where = addresses.parse(await heard())
  const ask = async (order: Order) => {
    const answer = heard()
    child.send(order)
    return tally.parse(await answer)
  }
  return {
    ...where,
    async load(ids) {
      await ask({ do: 'load', ids: [...ids] })
    },
    async countEmptied() {
      const { calls, left } = await ask({ do: 'count' })
      if (left > 0) throw new Error(`${left} items are left at the vendors`)
      return calls
    },
    stop: () => child.disconnect(),
  }
}
