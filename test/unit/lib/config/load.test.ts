import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { configJsonSchema, loadConfig, type Config } from '../../../../lib/config/index.ts'
import { LetheError } from '../../../../lib/base/errors/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'lethe-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

const sound = `
version: 1
stores:
  clinic: { kind: postgres, url: env:CLINIC_URL }
  files: { kind: declared, owner: operations, holds: old logs, gone_after: 30 days }
subjects:
  patient: { store: clinic, root: public.patients }
tables:
  clinic:
    public.patients:
      columns: { none: [id], contact: [email] }
      action: delete
    public.notes:
      columns: { none: [id, patient_id], free-text: [body] }
      edges: [{ kind: owned, to: public.patients, columns: [patient_id] }]
      action: delete
policies:
  deleted-patients:
    subject: patient
    when: soft-deleted
    clock: root.deleted_at
    records_class: patient records
    schedule: { cron: '0 3 * * *' }
`

const lab = '\n  lab: { kind: recipient, url: env:LAB, secret: env:LAB_SECRET, sends: [email] }'

function load(text: string, env: Record<string, string> = {}): Config {
  const path = join(folder, 'lethe.yaml')
  writeFileSync(path, text)
  return loadConfig(path, env)
}

function problems(text: string): string[] {
  try {
    load(text)
  } catch (error) {
    if (error instanceof LetheError && error.code === 'E_CONFIG' && Array.isArray(error.facts['problems']))
      return error.facts['problems'].map(String)
    throw error
  }
  return []
}

/** The sound file with one piece of text replaced. */
const but = (from: string, to: string) => {
  expect(sound).toContain(from)
  return sound.replace(from, to)
}

describe('a sound file', () => {
  test('is parsed with its defaults', () => {
    const config = load(sound)
    expect(config.policies['deleted-patients']).toMatchObject({
      name: 'deleted-patients',
      period: '30 days',
      warnings: [],
      store: 'clinic',
      approval: 'required',
    })
    expect(config.file.operations.lease_seconds).toBe(60)
  })

  test('has the same version however it is laid out, and another when it says something else', () => {
    const version = load(sound).version
    expect(
      load(
        `# a comment\n${sound.replace('{ kind: declared, owner: operations, holds: old logs, gone_after: 30 days }', '\n    kind: declared\n    owner: operations\n    holds: old logs\n    gone_after: 30 days')}`,
      ).version,
    ).toBe(version)
    expect(load(but('soft-deleted', 'max-age\n    period: 1 year')).version).not.toBe(version)
  })

  test('of an inactivity policy warns at 30, 7 and 1 days before 7 years', () => {
    const text = but('when: soft-deleted', 'when: inactive').replace(
      'root: public.patients }',
      'root: public.patients, contact: root.email }',
    )
    expect(load(text).policies['deleted-patients']).toMatchObject({ period: '7 years', warnings: [30, 7, 1] })
  })
})

describe('addresses and secrets', () => {
  test('are looked up when they are used', () => {
    const config = load(sound, { CLINIC_URL: 'postgres://clinic', LETHE_CONTROL_URL: 'postgres://control' })
    expect(config.storeUrl('clinic')).toBe('postgres://clinic')
    expect(config.controlUrl).toBe('postgres://control')
  })

  test('that are missing are named', () => {
    const config = load(sound)
    expect(() => config.storeUrl('clinic')).toThrow('CLINIC_URL')
    expect(() => config.controlUrl).toThrow('LETHE_CONTROL_URL')
    expect(() => config.redisUrl).toThrow('LETHE_REDIS_URL')
    expect(() => config.keystorePath).toThrow('LETHE_KEYSTORE')
    expect(() => config.secret('file:/no/such/file')).toThrow('/no/such/file')
    expect(() => config.storeUrl('files')).toThrow('no PostgreSQL store files')
  })

  test('come from a file where the reference says so', () => {
    const path = join(folder, 'secret')
    writeFileSync(path, 'the words\n')
    expect(load(sound).secret(`file:${path}`)).toBe('the words')
  })

  test('of something that is no PostgreSQL are refused, without their password', () => {
    const config = load(sound, {
      CLINIC_URL: 'clinic:geheim@host',
      LETHE_CONTROL_URL: 'mysql://u:geheim@host/x',
    })
    for (const ask of [() => config.controlUrl, () => config.storeUrl('clinic')]) {
      expect(ask).toThrow('is not a postgres:// address')
      expect(ask).not.toThrow('geheim')
    }
  })

  test('of Redis with a key prefix are refused', () => {
    const config = load(sound, { LETHE_REDIS_URL: 'redis://localhost/0?keyPrefix=x' })
    expect(() => config.redisUrl).toThrow('key prefix')
    expect(() => load(sound, { LETHE_REDIS_URL: 'localhost:6379' }).redisUrl).toThrow('redis://')
  })
})

describe('a file with mistakes', () => {
  test('that is not there says which', () => {
    expect(() => loadConfig(join(folder, 'none.yaml'), {})).toThrow('none.yaml')
  })

  test('that is not YAML says the line', () => {
    expect(problems('version: 1\nstores: [')[0]).toMatch(/^line 2/)
    expect(problems('version: *none')[0]).toContain('none')
    expect(problems(`${sound}\nversion: 1`)[0]).toContain('unique')
  })

  test('with an unknown key names the nearest known one and the line', () => {
    expect(problems(but('soft-deleted', 'soft-deleted\n    aproval: standing'))).toEqual([
      'line 21: policies.deleted-patients.aproval: unknown key; did you mean "approval"?',
    ])
    expect(problems(but('action: delete', 'acton: delete'))).toContainEqual(
      expect.stringContaining('acton: unknown key; did you mean "action"?'),
    )
    expect(problems(but('kind: postgres,', 'kind: postgres, shemas: [a],'))[0]).toContain(
      'did you mean "schemas"?',
    )
    expect(problems(but('columns: [patient_id]', 'columns: [patient_id], zzzzzz: 1'))[0]).toContain(
      'known here: kind, to',
    )
  })

  test('with a name from before 0.1 says where it went', () => {
    expect(problems(`${sound}evidence: { origin: example.org/lethe, bucket: { name: b } }\n`)[0]).toContain(
      'evidence.bucket: unknown key; it is locked_bucket now, at the top of the file',
    )
    const s3 = '  x: { kind: s3, region: r, access_key: env:A, places: [{ name: f, bucket: b, key: a }] }'
    expect(problems(sound.replace('\nsubjects:', `\n${s3}\nsubjects:`))[0]).toContain(
      'stores.x.access_key: unknown key; it is access_key_id now',
    )
  })

  test.each([
    ['soft-deleted', 'soft-deleted\n    period: 0 days', 'the shortest is 1 day'],
    ['soft-deleted', 'max-age', 'needs a period'],
    ['clock: root.deleted_at', "clock: now() - interval '1 year'", 'reads no column'],
    [
      'version: 1\n',
      "version: 1\nidentities: { me: { roles: [cto], ssh_keys: ['ssh-ed25519 xxxx'] } }\n",
      'no OpenSSH public key',
    ],
    ['subject: patient\n', 'subject: patiant\n', 'there is no subject patiant'],
    [
      'subject: patient\n',
      'table: { store: clinic, name: public.nowhere }\n',
      'public.nowhere is not in the map',
    ],
    ['subject: patient\n', 'table: { store: files, name: public.notes }\n', 'store files is declared'],
    [
      'root: public.patients }',
      'root: public.patients }\n  person: { store: clinic, root: public.patients }',
      'already the root of subject patient',
    ],
    ['to: public.patients', 'to: public.people', 'public.people is not in the map'],
    ['contact: [email]', 'contact: [email], none2: []', 'none2'],
    ['contact: [email]', 'contact: [email, id]', 'column id is listed twice'],
    ["cron: '0 3 * * *'", "cron: '0 3 * *'", 'five cron fields'],
    ["cron: '0 3 * * *'", "cron: '0 3 * * *', time_zone: Europe/Atlantis", 'no time zone "Europe/Atlantis"'],
    ["cron: '0 3 * * *'", "cron: '30 2 * * *', time_zone: Europe/Berlin", 'E_SCHEDULE_GAP'],
    ['when: soft-deleted', 'when: inactive', 'needs a contact'],
    ['url: env:CLINIC_URL', 'url: postgres://secret', 'env:NAME'],
    ['records_class', "window: { from: '22:00', to: '22:00' }\n    records_class", 'never opens'],
    [
      'records_class',
      'clamp: { minimum: { period: 2 years, source: law }, maximum: { period: 18 months, source: law } }\n    records_class',
      'longer than the maximum',
    ],
    [
      '\npolicies',
      '\nnotifications: { channel: webhook }\npolicies',
      'is missing, and the channel is webhook',
    ],
    [
      'root: public.patients }',
      'root: public.patients, other_stores: [lab], access: { stores: [lab] } }',
      'lab is a recipient: it is told once',
      lab,
    ],
    [
      '\npolicies',
      '\nnotifications: { store: lab }\npolicies',
      'lab is a recipient: nothing is erased there',
      lab,
    ],
    [
      'root: public.patients }',
      "root: public.patients, tombstones: [{ table: public.events, columns: { kind: \"'erased'\" }, once: 'true' }] }",
      'public.events is not in the map',
    ],
    [
      'root: public.patients }',
      "root: public.patients, tombstones: [{ table: public.notes, columns: {}, once: 'true' }] }",
      'names no column',
    ],
    ['version: 1', 'version: 2', 'version'],
    ['  files', '  FILES', 'lower-case name'],
  ])('%j as %j is refused', (from, to, words, more = '') => {
    const text = but(from, to).replace('\nsubjects:', `${more}\nsubjects:`)
    expect(problems(text).join('\n')).toContain(words)
  })

  test('tells everything at once', () => {
    const text = but('to: public.patients', 'to: public.people')
      .replace('subject: patient\n', 'subject: nobody\n')
      .replace("'0 3 * * *'", "'x'")
    expect(problems(text)).toHaveLength(3)
  })
})

test('the published JSON Schema is the one that parses', () => {
  const published: unknown = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../../../lib/config/lethe.schema.json'), 'utf8'),
  )
  expect(published, 'run: node lib/config/write-json-schema.ts').toEqual(configJsonSchema())
})

describe('health', () => {
  test('is for this machine only, and one process of a file may have its own address', () => {
    expect(load(sound).health).toEqual({ host: '127.0.0.1', port: 9464 })
    const file = `${sound}operations: { health_host: '::1', health_port: 9500 }\n`
    expect(load(file).health).toEqual({ host: '::1', port: 9500 })
    const env = { LETHE_HEALTH_HOST: '0.0.0.0', LETHE_HEALTH_PORT: '0' }
    expect(load(file, env).health).toEqual({ host: '0.0.0.0', port: 0 })
  })

  test.each(['http', '-1', '65536', '80.5'])('%s is no port', (port) => {
    expect(() => load(sound, { LETHE_HEALTH_PORT: port }).health).toThrow('LETHE_HEALTH_PORT')
  })
})
