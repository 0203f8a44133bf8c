/** Lists for vendors that refuse a whole list for one of its items. */
import { LetheError } from '../../../base/errors/index.ts'

/**
 * Sends the items together; where the vendor finds fault with what was sent, in halves, down to the items it refuses,
 * which are returned. Rethrows what isn't about the items: no answer, no right, no such feature.
 */
export async function sendSplit<T>(
  items: readonly T[],
  send: (some: readonly T[]) => Promise<void>,
): Promise<T[]> {
  if (items.length === 0) return []
  try {
    await send(items)
    return []
  } catch (error) {
    if (!isAboutItems(error)) throw error
    if (items.length === 1) return [...items]
    const middle = Math.ceil(items.length / 2)
    return [
      ...(await sendSplit(items.slice(0, middle), send)),
      ...(await sendSplit(items.slice(middle), send)),
    ]
  }
}

/** Bad request, too large, unprocessable: the vendor read it and did not like it. */
export function isAboutItems(error: unknown): error is LetheError {
  return (
    error instanceof LetheError &&
    error.code === 'E_STORE_REFUSED' &&
    [400, 413, 422].includes(Number(error.facts['status']))
  )
}

/** In pieces of at most `size` items and at most `bytes` bytes of JSON. */
export function inPieces(items: readonly string[], size: number, bytes: number): string[][] {
  const pieces: string[][] = []
  let weight = 0
  for (const item of items) {
    const own = Buffer.byteLength(JSON.stringify(item)) + 1
    const last = pieces.at(-1)
    if (last === undefined || last.length === size || weight + own > bytes) {
      pieces.push([item])
      weight = own
    } else {
      last.push(item)
      weight += own
    }
  }
  return pieces
}
