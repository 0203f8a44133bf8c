import type { ErasureRequest, Leg } from '../../lib/requests/index.ts'
import type { House } from './house.ts'

export async function issueReceipts(
  _house: House,
  _requests: readonly ErasureRequest[],
  _legs: ReadonlyMap<string, readonly Leg[]>,
): Promise<void> {
  // to come with lib/receipt
}
