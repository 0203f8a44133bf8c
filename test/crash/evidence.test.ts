/** The evidence log's keeper falls silent at every message that it sends to its database, and another one goes on. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { migrate, openDatabase } from '../../lib/base/db/index.ts'
import {
  appendEvent,
  logKeys,
  sequence,
  signHead,
  verifierKeys,
  verifyLog,
} from '../../lib/record/evidence/index.ts'
import { openKeystore } from '../../lib/base/keystore/index.ts'
import { makeFolder } from '../support/servers/process.ts'
import { startProxy } from '../support/servers/servers.ts'
import { freshDatabase } from '../support/servers/shared.ts'

it('Killed at any message, nothing is left out, nothing is there twice, and no second history is signed.', async () => {
  const fresh = await freshDatabase()
  await migrate(fresh.url, 'control')
  const control = openDatabase(fresh.url, { name: 'control', applicationName: 'lethe test' })
  const keys = logKeys(
    'example.org/lethe',
    await openKeystore(join(makeFolder('crash'), 'keys.json'), { create: true }),
    null,
  )
  const address = new URL(fresh.url)
  let written = 0
  let survived = false
  for (let k = 1; !survived; k += 1) {
    for (let n = 0; n < 3; n += 1) await appendEvent(control, { type: 'run.woken', data: {} })
    written += 3
    const proxy = await startProxy(address.hostname, Number(address.port), { protocol: 'postgres' })
    proxy.counter.onMessage = (said) => said < k
    const doomed = openDatabase(proxy.rewrite(fresh.url), {
      name: 'control',
      applicationName: 'lethe doomed',
    })
    try {
      await sequence(doomed)
      await signHead(doomed, keys, 0)
      survived = proxy.counter.count < k
    } catch {
      expect(proxy.counter.count).toBeGreaterThanOrEqual(k)
    }
    await doomed.close()
    await proxy.close()
    expect((await sequence(control)).size).toBe(written)
    await signHead(control, keys, 0)
    if (k % 10 === 0 || survived)
      expect(
        await verifyLog(control, { origin: keys.origin, keys: verifierKeys(keys) }, { keep: '6 years' }),
      ).toMatchObject({
        entries: written,
        breaks: [],
      })
  }
  expect(written).toBeGreaterThan(60)
  await control.close()
  await fresh.drop()
}, 120_000)
