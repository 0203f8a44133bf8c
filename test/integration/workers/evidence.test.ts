import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { lethe, startLethe } from '../../support/stages/cli.ts'
import { createSmallApp, type SmallApp } from '../../support/stages/small-app.ts'
import { createSshKey } from '../../support/stages/ssh-key.ts'

let app: SmallApp
let folder: string
beforeAll(async () => {
  app = await createSmallApp(inject('postgresUrl'), inject('redisUrl'))
  folder = await mkdtemp(join(tmpdir(), 'lethe-evidence-'))
  const key = createSshKey()
  app.configure({
    identities: { officer: { roles: ['records'], ssh_keys: [key.publicKeyLine] } },
    evidence: { origin: 'example.org/lethe' },
  })
  expect(await lethe(['keystore', 'create'], app.env)).toMatchObject({ code: 0 })
  expect(await lethe(['migrate'], app.env)).toMatchObject({ code: 0 })
  expect(
    await lethe(['arm', 'closed', '--reason', 'reviewed', '--ssh-key', key.file], app.env),
  ).toMatchObject({ code: 0 })
})
afterAll(async () => {
  await rm(folder, { recursive: true })
  await app.drop()
})

it('What was decided is proved to somebody who has the public keys and nothing else, and what was bent is not.', async () => {
  expect(await lethe(['evidence', 'proof', '1'], app.env)).toMatchObject({ code: 11 })
  const keeper = startLethe(['work', 'evidence'], app.env)
  await expect
    .poll(async () => (await lethe(['evidence', 'status'], app.env)).stdout, {
      timeout: 20_000,
      interval: 300,
    })
    .toMatch(/newest head\s+1 entries/)
  keeper.child.kill('SIGTERM')
  expect(await keeper.ended).toMatchObject({ code: 0 })

  const file = join(folder, 'armed.tlog-proof')
  const keys = join(folder, 'keys')
  expect(await lethe(['evidence', 'proof', '1', '--out', file], app.env)).toMatchObject({ code: 0 })
  writeFileSync(keys, (await lethe(['evidence', 'keys'], app.env)).stdout)

  expect(await lethe(['evidence', 'keys', '--check', keys], app.env)).toMatchObject({ code: 0 })
  expect(await lethe(['evidence', 'keys', '--check', file], app.env)).toMatchObject({ code: 30 })

  // no environment: no configuration, no keystore, no database
  const offline = ['--origin', 'example.org/lethe', '--keys', keys]
  const held = await lethe(['evidence', 'verify', file, ...offline])
  expect(held).toMatchObject({ code: 0 })
  expect(held.stdout).toContain('"type": "policy.armed"')
  const out = join(folder, 'export')
  expect(
    await lethe(['evidence', 'export', '--from', '2000-01-01', '--to', '2999-01-01', '--out', out], app.env),
  ).toMatchObject({ code: 0 })
  expect(await lethe(['evidence', 'verify', out, ...offline])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('1 events, each proved to be in log example.org/lethe, entries 0 to 0'),
  })
  expect(readFileSync(join(out, 'events.csv'), 'utf8')).toMatch(/^id,at,type,.*\r\n1,.*policy\.armed,officer/)
  expect(
    await lethe(['evidence', 'export', '--from', '2000-01-01', '--to', '2999-01-01', '--out', out], app.env),
  ).toMatchObject({ code: 2 })
  const csv = readFileSync(join(out, 'events.csv'), 'utf8')
  writeFileSync(join(out, 'events.csv'), csv.replace(',officer,', ',other,'))
  expect(await lethe(['evidence', 'verify', out, ...offline])).toMatchObject({
    code: 30,
    stderr: expect.stringContaining('events.csv of the export is not the table of its events'),
  })
  writeFileSync(join(out, 'events.csv'), csv)
  expect(await lethe(['evidence', 'verify', file, ...offline, '--witness', keys])).toMatchObject({ code: 2 })
  expect(await lethe(['evidence', 'verify', file, ...offline, '--head', keys])).toMatchObject({ code: 2 })
  expect(await lethe(['evidence', 'proof', '1', '--out', file], app.env)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('is there already'),
  })
  const lines = join(out, 'events.jsonl')
  writeFileSync(lines, readFileSync(lines, 'utf8').replace('"officer"', '"other"'))
  expect(await lethe(['evidence', 'verify', out, ...offline])).toMatchObject({ code: 30 })

  const head = join(folder, 'head')
  // as a mail leaves it
  const mailed = readFileSync(file, 'utf8').split('\n\n').slice(1).join('\n\n')
  writeFileSync(head, `${mailed.replaceAll('\n', '\r\n')}\r\n`)
  const consistent = join(folder, 'both.tlog-consistency')
  expect(await lethe(['evidence', 'consistency', head, '--out', consistent], app.env)).toMatchObject({
    code: 0,
  })
  expect(await lethe(['evidence', 'verify', consistent, ...offline])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('continues the one at 1'),
  })
  expect(await lethe(['evidence', 'verify', '--head', keys], app.env)).toMatchObject({ code: 2 })
  expect(await lethe(['evidence', 'verify', '--head', file], app.env)).toMatchObject({ code: 0 })
  expect(await lethe(['evidence', 'verify', '--head', head], app.env)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('2 signed heads compared'),
  })

  writeFileSync(file, readFileSync(file, 'utf8').replace('index 0', 'index 1'))
  expect(await lethe(['evidence', 'verify', file, ...offline])).toMatchObject({ code: 30 })
  expect(await lethe(['evidence', 'verify', keys, ...offline])).toMatchObject({ code: 2 })

  expect(await lethe(['evidence', 'verify'], app.env)).toMatchObject({ code: 0 })
  await app.control(
    `SET session_replication_role = replica; UPDATE lethe_control.events SET actor = 'nobody' WHERE id = 1`,
  )
  const broken = await lethe(['evidence', 'verify'], app.env)
  expect(broken).toMatchObject({ code: 30 })
  expect(broken.stdout).toContain('The event of entry 0 is not what was hashed.')
}, 90_000)
