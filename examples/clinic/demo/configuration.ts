/** The clinic's own lethe.yaml, with what only this machine can say: who decides, where the servers are, how fast to go. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import type { S3Server } from '../../../test/support/servers/servers.ts'
import { lockedBucket, type Elsewhere } from './elsewhere.ts'
import { policy } from './purge.ts'

interface Written {
  identities?: unknown
  operations?: Record<string, unknown>
  policies: Record<string, Record<string, unknown>>
  stores: Record<string, Record<string, unknown>>
  subjects: Record<string, Record<string, unknown>>
  locked_bucket?: Record<string, unknown>
}

/** A short lease, and a sweep slow enough to be killed in the middle. `keys`: public keys by name. */
export async function writeConfiguration(home: string, keys: Record<string, string>): Promise<void> {
  await write(home, await clinic(keys))
}

/** The same with the stores beside the database, which are the patients' too from here on. */
export async function connectStores(
  home: string,
  keys: Record<string, string>,
  { endpoint, region }: S3Server,
  { sendgrid, stripe }: Elsewhere,
): Promise<void> {
  const config = await clinic(keys)
  const { stores, subjects } = config
  Object.assign(stores['files'] ?? {}, { endpoint, region })
  Object.assign(stores['mailing'] ?? {}, { base_url: sendgrid.url })
  Object.assign(stores['payments'] ?? {}, { base_url: stripe.url })
  // the print shop's service stands on this machine, which no address of a processor may lead to otherwise
  Object.assign(stores['letters'] ?? {}, { allow_private: true })
  const patient = subjects['patient'] ?? {}
  patient['other_stores'] = ['files', 'cache', 'mailing', 'payments', 'letters', 'log-archive']
  patient['access'] = { ...Object(patient['access']), stores: ['cache'] }
  config.locked_bucket = {
    name: lockedBucket,
    endpoint,
    region,
    access_key_id: 'env:CLINIC_S3_ACCESS_KEY',
    secret_access_key: 'env:CLINIC_S3_SECRET_KEY',
    lock: '1 day',
  }
  await write(home, config)
}

async function clinic(keys: Record<string, string>): Promise<Written> {
  const config = parse(await readFile(new URL('../lethe.yaml', import.meta.url), 'utf8')) as Written
  config.identities = {
    'dr-osei': { roles: ['records', 'cto'], ssh_keys: [keys['dr-osei']] },
    sam: { roles: ['support'], ssh_keys: [keys['sam']] },
  }
  config.operations = { ...config.operations, lease_seconds: 5, health_port: 0 }
  config.policies[policy] = {
    ...config.policies[policy],
    throttle: { target_ms: 20, max_rows: 300, rows_per_second: 800 },
  }
  return config
}

async function write(home: string, config: Written): Promise<void> {
  await writeFile(join(home, 'lethe.yaml'), stringify(config))
}
