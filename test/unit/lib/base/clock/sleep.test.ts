import { expect, test } from 'vitest'
import { sleep } from '../../../../../lib/base/clock/index.ts'

test('a sleep that is told to end ends at once, with the reason it was told', async () => {
  const reason = new Error('stop')
  const stop = new AbortController()
  const sleeping = sleep(600_000, stop.signal)
  stop.abort(reason)
  await expect(sleeping).rejects.toBe(reason)
  await expect(sleep(600_000, stop.signal)).rejects.toBe(reason)
})

test('a sleep that nobody ends comes to its end', async () => {
  await expect(sleep(1, new AbortController().signal)).resolves.toBeUndefined()
})
