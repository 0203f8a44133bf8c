/**
 * `npm run bench [-- purge|core|evidence|erasure] [--rows N] [--events N]`: starts its own servers (durable settings), measures, and ends with lines
 * `ratio NAME VALUE`. Machines are noisy: every figure is a ratio against something else in the same run.
 */
import { parseArgs } from 'node:util'
import { startPostgres, startRedis } from '../support/servers/servers.ts'
import { benchCore } from './core.ts'
import { benchErasure } from './erasure.ts'
import { benchEvidence } from './evidence.ts'
import { benchPurge } from './purge.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '10000000' },
    events: { type: 'string', default: '1000000' },
  },
})
const wanted = positionals.length > 0 ? positionals : ['purge']
const say = (line: string) => process.stderr.write(`${line}\n`)

const postgres = await startPostgres({
  durable: true,
  settings: { shared_buffers: '1GB', max_wal_size: '8GB', checkpoint_timeout: '15min' },
})
const redis = await startRedis()
const ratios: Record<string, number> = {}
try {
  if (wanted.includes('purge'))
    Object.assign(
      ratios,
      await benchPurge({ adminUrl: postgres.url, redisUrl: redis.url }, Number(values.rows), say),
    )
  if (wanted.includes('evidence'))
    Object.assign(ratios, await benchEvidence(postgres.url, Number(values.events), say))
  if (wanted.includes('erasure')) Object.assign(ratios, await benchErasure(postgres.url, say))
  if (wanted.includes('purge') || wanted.includes('core'))
    Object.assign(ratios, await benchCore({ adminUrl: postgres.url, redisUrl: redis.url }, say))
} finally {
  await redis.stop()
  await postgres.stop()
}
for (const [name, value] of Object.entries(ratios))
  process.stdout.write(`ratio ${name} ${value.toFixed(3)}\n`)
