import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { lethe, startLethe } from '../../support/stages/cli.ts'
import { makeFolder } from '../../support/servers/process.ts'
import { createSmallApp, type SmallApp } from '../../support/stages/small-app.ts'
import { createSshKey } from '../../support/stages/ssh-key.ts'
import { startWitness, type TestWitness } from '../../support/vendors/witness.ts'

const origin = 'example.org/lethe'
let app: SmallApp
let witness: TestWitness
const folder = makeFolder('witness-cli')
beforeAll(async () => {
  app = await createSmallApp(inject('postgresUrl'), inject('redisUrl'))
  const identities = { officer: { roles: ['records'], ssh_keys: [createSshKey().publicKeyLine] } }
  app.configure({ identities, evidence: { origin } })
  expect(await lethe(['keystore', 'create'], app.env)).toMatchObject({ code: 0 })
  expect(await lethe(['migrate'], app.env)).toMatchObject({ code: 0 })
  const keys = (await lethe(['evidence', 'keys'], app.env)).stdout
  writeFileSync(join(folder, 'log'), keys)
  witness = await startWitness(origin, keys.trim().split('\n'))
  app.configure({
    identities,
    evidence: { origin, witnesses: [{ url: `${witness.witness.url}/`, key: witness.key }] },
  })
})
afterAll(async () => {
  await witness.end('SIGKILL')
  await app.drop()
})

it('A proof is accepted by the word of witnesses, and the status says what each has seen.', async () => {
  expect((await lethe(['evidence', 'status'], app.env)).stdout).toMatch(
    /witness witness\.example\/w1\s+has cosigned nothing yet/,
  )
  await app.control(`INSERT INTO lethe_control.events (type, data) VALUES ('run.woken', '{}')`)
  const keeper = startLethe(['work', 'evidence'], app.env)
  await expect
    .poll(async () => (await lethe(['evidence', 'status'], app.env)).stdout, {
      timeout: 20_000,
      interval: 300,
    })
    .toMatch(/witness witness\.example\/w1\s+1 entries, 20/)
  keeper.child.kill('SIGTERM')
  expect(await keeper.ended).toMatchObject({ code: 0 })

  const [file, known, unknown] = [join(folder, 'proof'), join(folder, 'known'), join(folder, 'unknown')]
  expect(await lethe(['evidence', 'proof', '1', '--out', file], app.env)).toMatchObject({ code: 0 })
  const other = await startWitness(origin, [witness.key], 'other.example/w')
  expect(await other.end('SIGTERM')).toMatchObject({ code: 0 })
  writeFileSync(known, `# those we trust\n${witness.key}\n${other.key}\n`)
  writeFileSync(unknown, other.key)
  // no environment: no configuration, no keystore, no database
  const verify = async (...more: string[]) =>
    lethe(['evidence', 'verify', file, '--origin', origin, '--keys', join(folder, 'log'), ...more])
  expect((await verify()).stdout).not.toContain('Cosigned')
  expect(await verify('--witness', known)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Cosigned by witness.example/w1 on 20'),
  })
  expect(await verify('--witness', unknown)).toMatchObject({
    code: 30,
    stderr: expect.stringContaining('E_EVIDENCE_SIGNATURE'),
  })
  expect(await verify('--witness', known, '--witnesses-needed', '2')).toMatchObject({ code: 30 })
  expect(await verify('--witnesses-needed', '1')).toMatchObject({ code: 2 })

  const living = async (...more: string[]) => lethe(['evidence', 'verify', ...more], app.env)
  expect((await living()).stdout).toContain('Cosigned by witness.example/w1')
  expect(await living('--witnesses-needed', '1')).toMatchObject({ code: 0 })
  expect(await living('--witnesses-needed', '2')).toMatchObject({ code: 30 })
  expect(await living('--witness', unknown)).toMatchObject({ code: 30 })

  const out = join(folder, 'export')
  const stretch = ['--from', '2000-01-01', '--to', '2999-01-01', '--out', out]
  expect(await lethe(['evidence', 'export', ...stretch], app.env)).toMatchObject({ code: 0 })
  const exported = ['evidence', 'verify', out, '--origin', origin, '--keys', join(folder, 'log'), '--witness']
  expect(await lethe([...exported, known])).toMatchObject({ code: 0 })
  expect(await lethe([...exported, unknown])).toMatchObject({ code: 30 })
}, 90_000)

it('A witness says what it lacks, and a configuration that names a key of another kind is refused.', async () => {
  expect(await lethe(['witness', '--key', 'nowhere', '--name', 'w'])).toMatchObject({ code: 2 })
  const plain = `${origin}+00000000+${Buffer.concat([Buffer.of(1), Buffer.alloc(32)]).toString('base64')}`
  for (const entry of [
    { url: witness.witness.url, key: plain },
    { url: 'ftp://witness.example', key: witness.key },
  ])
    expect(() => app.configure({ evidence: { origin, witnesses: [entry] } })).toThrow('witnesses')
})
