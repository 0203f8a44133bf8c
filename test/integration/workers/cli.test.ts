import { execFileSync } from 'node:child_process'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { canary, createSmallApp, type SmallApp } from '../../support/stages/small-app.ts'
import { lethe, startLethe, type CliResult } from '../../support/stages/cli.ts'
import { createSshKey, type SshKey } from '../../support/stages/ssh-key.ts'

let app: SmallApp
let key: SshKey
let support: SshKey

beforeAll(async () => {
  app = await createSmallApp(inject('postgresUrl'), inject('redisUrl'))
  key = createSshKey()
  support = createSshKey()
  configure()
  expect(await lethe(['keystore', 'create'], app.env)).toMatchObject({ code: 0 })
  expect(await lethe(['migrate'], app.env)).toMatchObject({ code: 0 })
})
afterAll(() => app.drop())

function configure(changes: Readonly<Record<string, unknown>> = {}): void {
  app.configure({
    identities: {
      'dr-osei': { roles: ['records'], ssh_keys: [key.publicKeyLine] },
      desk: { roles: ['support'], ssh_keys: [support.publicKeyLine] },
    },
    ...changes,
  })
}

/** The one document on stdout. */
function data(result: CliResult): unknown {
  const document: { lethe: number; command: string; data: unknown } = JSON.parse(result.stdout)
  expect(document).toMatchObject({ lethe: 1 })
  return document.data
}

/** The error among the JSON lines on stderr. */
function failure(result: CliResult): unknown {
  const lines = result.stderr
    .trim()
    .split('\n')
    .map((line): { error?: unknown } => JSON.parse(line))
  return lines.find((line) => line.error !== undefined)?.error
}

describe('lethe', () => {
  it('--help names every noun and the exit codes, on stdout, without any configuration', async () => {
    const result = await lethe(['--help'])
    expect(result.code).toBe(0)
    for (const word of [
      'retention',
      'arm',
      'hold',
      'datamap',
      'runs',
      'doctor',
      'migrate',
      'grants',
      'keystore',
      'work',
      'Exit codes',
    ])
      expect(result.stdout).toContain(word)
    expect(result.stderr).toBe('')
  })

  it.each([
    [['retention', 'plann', 'x'], 'Did you mean plan'],
    [['retention', 'plan'], "Missing required argument 'policy'"],
    [['runs', 'list', '--limit', '0'], '--limit is not a number above 0'],
    [['nothing'], "Unknown command 'nothing'"],
    [[], 'A command is missing'],
    [['hold', 'add', '--level', 'planet'], "Required option '--kind"],
    [['work', 'sleeper'], 'There is no role sleeper'],
    [['work', 'retention', '--once'], '--once is for the dispatcher alone'],
  ])('%j is a mistake of usage: exit 2, told on stderr', async (args, words) => {
    const result = await lethe(args, app.env)
    expect(result.code).toBe(2)
    expect(result.stderr).toContain(words)
    expect(result.stdout).toBe('')
  })

  it('an unknown key in lethe.yaml is exit 2, naming the key and its line', async () => {
    const path = join(app.folder, 'mistaken.yaml')
    writeFileSync(path, 'version: 1\nstores: {}\nsubjects: {}\ntables: {}\npolicys: {}\n')
    const result = await lethe(['runs', 'list'], { ...app.env, LETHE_CONFIG: path })
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(/^E_CONFIG: .*\n.*line 5: policys: unknown key; did you mean "policies"\?/)
  })

  it('an error says code, what failed, what was left, what is next and where to read more', async () => {
    const result = await lethe(['retention', 'report', '3f3c1c3e-0000-4000-8000-000000000000'], app.env)
    expect(result.code).toBe(10)
    expect(result.stderr).toMatch(
      /^E_NOT_FOUND: .+\n {2}left: {4}.+\n {2}next: {4}.+\n {2}runbook: runbooks\/errors\.md#e_not_found\n$/,
    )
  })

  it('with --json an error is one JSON line on stderr with the same parts', async () => {
    const result = await lethe(['runs', 'show', 'nothing', '--json'], app.env)
    expect(result.code).toBe(10)
    expect(failure(result)).toMatchObject({
      code: 'E_NOT_FOUND',
      message: 'There is no run nothing.',
      left: 'Nothing was changed.',
      next: expect.any(String),
      runbook: 'runbooks/errors.md#e_not_found',
      exit: 10,
    })
  })

  it('work dispatcher --once beside a dispatcher that leads does nothing and is exit 11', async () => {
    await app.control(
      `INSERT INTO lethe_control.leases (name, holder, fence, expires_at)
       VALUES ('dispatcher', 'another', 1, now() + interval '1 hour')
       ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at`,
    )
    const result = await lethe(['work', 'dispatcher', '--once', '--json'], app.env)
    await app.control(`UPDATE lethe_control.leases SET expires_at = now() WHERE name = 'dispatcher'`)
    expect(result.code).toBe(11)
    expect(data(result)).toMatchObject({ leader: false, enqueued: 0 })
    expect(failure(result)).toMatchObject({ code: 'E_LEASED', left: 'Nothing was changed.', exit: 11 })
  })

  it('without Redis or the control database is exit 20, and without the schema exit 57', async () => {
    const away = { ...app.env, LETHE_CONTROL_URL: 'postgres://postgres@127.0.0.1:1/none' }
    expect(await lethe(['runs', 'list'], away)).toMatchObject({ code: 20 })
    const other = { ...app.env, LETHE_CONTROL_URL: app.appUrl }
    const result = await lethe(['runs', 'list'], other)
    expect(result).toMatchObject({ code: 57, stderr: expect.stringContaining('lethe migrate') })
  })

  it.each([
    ['runs list', []],
    ['retention list', []],
    ['hold list', []],
    ['datamap check', { stores: ['app'], findings: expect.any(Array) }],
    ['datamap explain', expect.objectContaining({ subject: 'person', steps: expect.any(Array) }), 'person'],
    ['datamap schema', expect.objectContaining({ type: 'object' })],
    ['grants', expect.arrayContaining([expect.objectContaining({ database: 'control' })]), '--sql'],
    ['migrate', [expect.objectContaining({ applied: [] }), expect.objectContaining({ applied: [] })]],
  ])('%s --json prints one document', async (command, expected, ...args) => {
    const result = await lethe([...command.split(' '), ...args, '--json'], app.env)
    expect(result.code).toBe(0)
    expect(JSON.parse(result.stdout)).toEqual({ lethe: 1, command, data: expected })
  })

  it('colours nothing in a pipe, nor with NO_COLOR', async () => {
    for (const env of [{}, { NO_COLOR: '1' }, { FORCE_COLOR: '1' }]) {
      const result = await lethe(['retention', 'plan', 'closed'], { ...app.env, ...env })
      expect(result.code).toBe(0)
      expect(`${result.stdout}${result.stderr}`).not.toContain('\u001B')
    }
  })

  it('keystore create makes a file for its owner only, and never overwrites one', async () => {
    expect(statSync(app.env['LETHE_KEYSTORE'] ?? '').mode & 0o777).toBe(0o600)
    const again = await lethe(['keystore', 'create'], app.env)
    expect(again).toMatchObject({ code: 12, stderr: expect.stringContaining('E_KEYSTORE_EXISTS') })
  })
})

describe('lethe retention plan', () => {
  it('shows population, rows by table, what is next and the order, and changes nothing', async () => {
    const before = await app.sql(
      'SELECT (SELECT count(*) FROM people) AS p, (SELECT count(*) FROM lethe.population) AS q',
    )
    const text = await lethe(['retention', 'plan', 'closed'], app.env)
    expect(text.stdout).toContain('subjects due and free to go: 5, with 30 rows')
    expect(text.stdout).toContain('Nothing was changed.')
    expect(data(await lethe(['retention', 'plan', 'closed', '--json'], app.env))).toMatchObject({
      policy: 'closed',
      mode: 'observe',
      population: 5,
      rows: { 'public.people': 5, 'public.notes': 25 },
      steps: expect.arrayContaining([expect.objectContaining({ kind: 'root-delete' })]),
    })
    expect(
      await app.sql(
        'SELECT (SELECT count(*) FROM people) AS p, (SELECT count(*) FROM lethe.population) AS q',
      ),
    ).toEqual(before)
  })

  it('shows keys of people on a terminal only', async () => {
    expect(await lethe(['retention', 'plan', 'closed', '--sample', '3'], app.env)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('on a terminal only'),
    })
  })

  it('of a policy that is not there names those that are', async () => {
    const result = await lethe(['retention', 'plan', 'opened'], app.env)
    expect(result).toMatchObject({ code: 10, stderr: expect.stringContaining('Name one of: closed') })
  })
})

describe('a decision', () => {
  const arm = ['arm', 'closed', '--reason', 'reports reviewed']

  it('without evidence is exit 13, whoever is logged in', async () => {
    const result = await lethe(arm, { ...app.env, USER: 'root', LOGNAME: 'dr-osei' })
    expect(result).toMatchObject({ code: 13, stderr: expect.stringContaining('E_IDENTITY_MISSING') })
  })

  it('by a role that may not is exit 13, and nothing happens', async () => {
    const result = await lethe([...arm, '--ssh-key', support.file, '--json'], app.env)
    expect(result.code).toBe(13)
    expect(failure(result)).toMatchObject({ code: 'E_ROLE_MISSING' })
    expect(await app.control('SELECT * FROM lethe_control.policies')).toEqual([])
  })

  it('by a stranger’s key is exit 13', async () => {
    const result = await lethe([...arm, '--ssh-key', createSshKey().file], app.env)
    expect(result).toMatchObject({ code: 13, stderr: expect.stringContaining('E_IDENTITY_UNKNOWN') })
  })

  it('can be signed on another machine: the statement goes out, the signature comes in', async () => {
    const printed = await lethe([...arm, '--print-statement'], app.env)
    expect(printed.code).toBe(0)
    expect(await app.control('SELECT * FROM lethe_control.policies')).toEqual([])
    const statement = join(app.folder, 'statement')
    writeFileSync(statement, printed.stdout)
    execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', 'lethe', '-f', key.file, statement], {
      stdio: 'ignore',
    })
    const other = await lethe(
      ['arm', 'closed', '--reason', 'another', '--signature', `${statement}.sig`],
      app.env,
    )
    expect(other).toMatchObject({ code: 13, stderr: expect.stringContaining('E_STATEMENT_MISMATCH') })
    const armed = await lethe([...arm, '--signature', `${statement}.sig`, '--json'], app.env)
    expect(data(armed)).toMatchObject({ policy: 'closed', mode: 'armed', actor: 'dr-osei' })
    expect(await app.control('SELECT mode, armed_by FROM lethe_control.policies')).toEqual([
      { mode: 'armed', armed_by: 'dr-osei' },
    ])
  })

  it('can lose its words later, by the hash of its statement', async () => {
    const [armed] = list(
      await app.control(`SELECT encode(statement_hash, 'hex') AS hash FROM lethe_control.policies`),
    )
    const hash = String(armed?.['hash'])
    const erase = (of: string, by: SshKey) =>
      lethe(['evidence', 'erase-text', of, '--reason', 'a name', '--ssh-key', by.file, '--json'], app.env)
    expect(await erase(hash, support)).toMatchObject({ code: 13 })
    expect(failure(await erase(hash, key))).toMatchObject({ code: 'E_USAGE' })
    await lethe(['arm', 'closed', '--reason', 'in other words', '--ssh-key', key.file], app.env)
    expect(data(await erase(hash.toUpperCase(), key))).toMatchObject({ text: hash, before: false })
    expect(data(await erase(hash, key))).toMatchObject({ text: hash, before: true })
    expect(failure(await erase('f'.repeat(64), key))).toMatchObject({ code: 'E_NOT_FOUND', exit: 10 })
  })

  it('to hold takes its key from stdin, out of the process list, and may come from support', async () => {
    const hold = (level: string, ...more: string[]) => [
      'hold',
      'add',
      '--level',
      level,
      '--kind',
      'complaint',
      '--owner',
      'complaints team',
      '--review',
      '2030-01-01',
      '--reason',
      'open complaint',
      '--ssh-key',
      support.file,
      '--json',
      ...more,
    ]
    const added = await lethe(hold('subject', '--subject', 'person', '--key', '-'), app.env, '1\n')
    expect(data(added)).toMatchObject({ alreadyGone: false, actor: 'desk' })
    expect(data(await lethe(['retention', 'plan', 'closed', '--json'], app.env))).toMatchObject({
      population: 4,
    })
    const [listed] = list(data(await lethe(['hold', 'list', '--json'], app.env)))
    expect(listed).toMatchObject({ level: 'subject', kind: 'complaint', projected: true })
    const release = ['hold', 'release', String(listed?.['id']), '--reason', 'settled']
    expect(await lethe([...release, '--ssh-key', support.file], app.env)).toMatchObject({ code: 13 })
    expect(await lethe([...release, '--ssh-key', key.file], app.env)).toMatchObject({ code: 0 })
    expect(data(await lethe(['retention', 'plan', 'closed', '--json'], app.env))).toMatchObject({
      population: 5,
    })
    // a slip in the key holds nothing: at every level that has one, it is said
    for (const slip of [
      hold('subject', '--subject', 'person', '--key', '999999'),
      hold('row', '--table', 'public.people', '--key', '999999'),
    ]) {
      const lost = await lethe(
        slip.filter((word) => word !== '--json'),
        app.env,
      )
      expect(lost.stdout).toContain('NOTHING HAS THIS KEY NOW')
      const id = /Hold (\S+) stands/.exec(lost.stdout)?.[1] ?? ''
      expect(
        await lethe(['hold', 'release', id, '--reason', 'a slip', '--ssh-key', key.file], app.env),
      ).toMatchObject({ code: 0 })
    }
  })
})

describe('a run from the command line', () => {
  it('goes on after Ctrl-C (exit 130), waits for a decision (13), is decided, followed to its end and told', async () => {
    configure({
      policies: {
        closed: {
          subject: 'person',
          when: 'soft-deleted',
          clock: 'root.deleted_at',
          records_class: 'Closed accounts',
          limits: { share: 0.5 },
        },
      },
    })
    const withKey = { ...app.env, LETHE_SSH_KEY: key.file }
    expect(await lethe(['arm', 'closed', '--reason', 'limits raised'], withKey)).toMatchObject({ code: 0 })

    const { child, ended } = startLethe(['retention', 'run', 'closed', '--wait', '--json'], app.env)
    await new Promise<void>((resolve) => {
      child.stderr?.on('data', (text: string) => {
        if (text.includes('"progress"')) resolve()
      })
    })
    child.kill('SIGINT')
    const interrupted = await ended
    expect(interrupted.code).toBe(130)
    const [run] = list(data(await lethe(['runs', 'list', '--json'], app.env)))
    expect(run).toMatchObject({ state: 'queued', scope: 'closed' })
    const id = String(run?.['id'])
    expect(failure(interrupted)).toMatchObject({ code: 'E_INTERRUPTED', left: expect.stringContaining(id) })
    expect(await lethe(['retention', 'run', 'closed'], app.env)).toMatchObject({
      stderr: expect.stringContaining('E_ALREADY_RUNNING'),
    })

    const worker = startLethe(['work', 'all'], { ...app.env, LETHE_LOG_LEVEL: 'error' })
    const waiting = await lethe(['runs', 'follow', id, '--json'], app.env)
    expect(waiting.code).toBe(13)
    expect(failure(waiting)).toMatchObject({ code: 'E_APPROVAL_MISSING', facts: { run: id } })
    const [proposal] = list(data(await lethe(['retention', 'list', '--waiting', '--json'], app.env)))
    const approve = ['retention', 'approve', String(proposal?.['id']), '--reason', 'quarterly appraisal']
    expect(await lethe([...approve, '--outcome', 'burn'], withKey)).toMatchObject({ code: 2 })
    expect(await lethe(approve, { ...app.env, LETHE_SSH_KEY: support.file })).toMatchObject({ code: 13 })
    expect(await lethe(approve, withKey)).toMatchObject({ code: 0 })
    expect(await lethe(approve, withKey)).toMatchObject({
      code: 12,
      stderr: expect.stringContaining('E_PROPOSAL_DECIDED'),
    })

    const followed = await lethe(['runs', 'follow', id], app.env)
    expect(followed).toMatchObject({ code: 0, stdout: expect.stringContaining('succeeded') })
    worker.child.kill('SIGTERM')
    expect(await worker.ended).toMatchObject({ code: 0 })
    expect(await app.sql('SELECT count(*)::int AS n FROM people')).toEqual([{ n: 195 }])

    const story = await lethe(['runs', 'show', id], app.env)
    for (const words of [
      'started by command-line',
      'destroy by dr-osei (ssh)',
      'quarterly appraisal',
      'Batches',
      'Erasure ledger',
    ])
      expect(story.stdout).toContain(words)
    const report = await lethe(['retention', 'report', 'closed'], app.env)
    expect(report.stdout).toContain('# Retention report: closed')
    const everything = [interrupted, waiting, followed, story, report]
      .map((one) => one.stdout + one.stderr)
      .join('')
    expect(everything).not.toContain(canary)
  }, 120_000)

  it('is paused, resumed and cancelled by its policy’s name', async () => {
    await app.sql(`UPDATE people SET deleted_at = now() - interval '1 year' WHERE id = 10`)
    expect(await lethe(['retention', 'run', 'closed'], app.env)).toMatchObject({ code: 0 })
    for (const [verb, state] of [
      ['pause', 'paused'],
      ['resume', 'queued'],
      ['cancel', 'cancelled'],
    ] as const)
      expect(data(await lethe(['retention', verb, 'closed', '--json'], app.env))).toMatchObject({
        run: { state },
      })
    expect(await lethe(['retention', 'cancel', 'closed'], app.env)).toMatchObject({ code: 10 })
  })
})

function list(value: unknown): Record<string, unknown>[] {
  if (!Array.isArray(value)) throw new Error('not a list')
  return value
}
