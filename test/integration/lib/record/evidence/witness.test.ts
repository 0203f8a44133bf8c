import { generateKeyPairSync, sign } from 'node:crypto'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { connect, createServer as createRelay, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { migrate, openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import {
  appendEvent,
  cosignaturesOf,
  cosignHead,
  formatVerifierKey,
  logKeys,
  newestHead,
  parseNote,
  proveEvent,
  publishedKeys,
  sequence,
  signerFromPem,
  signHead,
  verifierKeys,
  verifyLog,
  verifyProof,
  witnessStates,
  type LogKeys,
} from '../../../../../lib/record/evidence/index.ts'
import { formatAddCheckpoint, parseAddCheckpoint } from '../../../../../lib/record/evidence/add-checkpoint.ts'
import { consistencyProof } from '../../../../../lib/record/evidence/merkle.ts'
import { asCosigner, formatSignature, signNote } from '../../../../../lib/record/evidence/note.ts'
import { storedNodes } from '../../../../../lib/record/evidence/store.ts'
import { askWitness } from '../../../../../lib/record/evidence/witness.ts'
import { grantsSql } from '../../../../../lib/record/grants/index.ts'
import { openKeystore } from '../../../../../lib/base/keystore/index.ts'
import { findProgram } from '../../../../support/servers/install.ts'
import { makeFolder } from '../../../../support/servers/process.ts'
import { testRoles } from '../../../../support/servers/roles.ts'
import { freshDatabase } from '../../../../support/servers/shared.ts'
import { startWitness, type TestWitness } from '../../../../support/vendors/witness.ts'

const origin = 'example.org/lethe'
let folder: string
let keys: LogKeys
let witness: TestWitness
const opened: (() => Promise<void>)[] = []
const urls = new Map<Database, string>()
let control: Database
const roles = testRoles('worker', 'operator', 'approver', 'auditor')

beforeAll(async () => {
  folder = makeFolder('witnessed')
  keys = await newKeys()
})
beforeEach(async () => {
  control = await newLog()
  witness = await startWitness(origin, publishedKeys(keys))
})
afterEach(async () => {
  await witness.end('SIGKILL')
  for (const close of opened.splice(0)) await close()
})

async function newKeys(name = origin): Promise<LogKeys> {
  return logKeys(name, await openKeystore(join(folder, `${performance.now()}.json`), { create: true }), null)
}

async function newLog(): Promise<Database> {
  const fresh = await freshDatabase()
  await migrate(fresh.url, 'control')
  const database = openDatabase(fresh.url, { name: 'control', applicationName: 'lethe test' })
  urls.set(database, fresh.url)
  opened.push(async () => {
    await database.close()
    await fresh.drop()
  })
  return database
}

async function grow(log: Database, count: number, by = keys): Promise<void> {
  for (let n = 0; n < count; n += 1) await appendEvent(log, { type: 'run.woken', data: {} })
  await sequence(log)
  await signHead(log, by, 0)
}

const cosigners = async (log = control) =>
  cosignaturesOf(parseNote((await newestHead(log))?.note ?? ''), [witness.witness.key]).map(
    (one) => one.witness,
  )

/** What the log sends for its newest head. */
async function request(log: Database, old: number): Promise<string> {
  const head = await newestHead(log)
  if (head === null) throw new Error('no head')
  const proof =
    old === 0 || old >= head.size ? [] : await consistencyProof(old, head.size, storedNodes(log, head.size))
  return formatAddCheckpoint({ old, proof, checkpoint: head.note })
}

async function post(body: string, path = 'add-checkpoint', method = 'POST') {
  const answer = await fetch(`${witness.witness.url}/${path}`, {
    method,
    ...(method === 'POST' ? { body } : {}),
  })
  return { status: answer.status, type: answer.headers.get('content-type'), body: await answer.text() }
}

/** Another's server in the place of the witness. */
async function impostor(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  opened.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('a witness', () => {
  test('cosigns each head that continues the last one, and a proof says so', async () => {
    for (const count of [1, 7, 300]) {
      await grow(control, count)
      await cosignHead(control, witness.witness)
      expect(await cosigners()).toEqual(['witness.example/w1'])
    }
    expect(await cosignHead(control, witness.witness)).toBe(null)
    expect(await witnessStates(control)).toMatchObject([{ witness: expect.any(String), size: 308 }])
    const proof = await proveEvent(control, '77')
    const quorum = { keys: [witness.witness.key], needed: 1 }
    expect(verifyProof(proof, origin, verifierKeys(keys), quorum)).toMatchObject({ index: 76 })
    expect(() => verifyProof(proof, origin, verifierKeys(keys), { ...quorum, needed: 2 })).toThrow(
      expect.objectContaining({ code: 'E_EVIDENCE_SIGNATURE' }),
    )
    expect(
      (await verifyLog(control, { origin, keys: verifierKeys(keys) }, { keep: '6 years' })).breaks,
    ).toEqual([])
  })

  test('is in the proof of each event that it has seen, also while it is away', async () => {
    await grow(control, 3)
    await cosignHead(control, witness.witness)
    await grow(control, 3)
    const quorum = { keys: [witness.witness.key], needed: 1 }
    const checked = async (event: string) =>
      verifyProof(await proveEvent(control, event), origin, verifierKeys(keys), quorum)
    expect(await checked('2')).toMatchObject({ checkpoint: { size: 3 } })
    await expect(checked('5')).rejects.toMatchObject({ code: 'E_EVIDENCE_SIGNATURE' })
    expect(verifyProof(await proveEvent(control, '5'), origin, verifierKeys(keys))).toMatchObject({
      checkpoint: { size: 6 },
    })
  })

  test('does not count twice, and not by the word of another key', async () => {
    await grow(control, 3)
    await cosignHead(control, witness.witness)
    const proof = await proveEvent(control, '1')
    const { key } = witness.witness
    const twice = { keys: [key, key], needed: 2 }
    expect(() => verifyProof(proof, origin, verifierKeys(keys), twice)).toThrow('1 cosigned')
    const other = (await newKeys('witness.example/w1')).signer
    expect(() =>
      verifyProof(proof, origin, verifierKeys(keys), { keys: [asCosigner(other)], needed: 1 }),
    ).toThrow('0 cosigned')
  })

  test('refuses a rewritten log and a shorter one, and the log is told that it is broken', async () => {
    await grow(control, 8)
    const signed = (await newestHead(control))?.note
    await cosignHead(control, witness.witness)
    const longer = await newLog()
    await grow(longer, 12)
    await expect(cosignHead(longer, witness.witness)).rejects.toMatchObject({
      code: 'E_EVIDENCE_BROKEN',
      facts: { kind: 'rewritten', status: 422 },
    })
    const same = await newLog()
    await grow(same, 8)
    await expect(cosignHead(same, witness.witness)).rejects.toMatchObject({
      code: 'E_EVIDENCE_BROKEN',
      facts: { kind: 'rewritten', status: 409 },
    })
    const shorter = await newLog()
    await grow(shorter, 5)
    await expect(cosignHead(shorter, witness.witness)).rejects.toMatchObject({
      code: 'E_EVIDENCE_BROKEN',
      facts: { kind: 'tail-cut', size: 5, signed: 8 },
    })
    expect(await post(await request(shorter, 5))).toMatchObject({ status: 409, body: '8\n' })
    expect(await post((await request(shorter, 5)).replace('old 5', 'old 8'))).toMatchObject({ status: 400 })
    for (const log of [longer, same, shorter]) expect(await cosigners(log)).toEqual([])
    // the proof of the fork: what the log signed before
    expect(readFileSync(witness.state, 'utf8')).toBe(signed)
  })

  test('says what it knows to a log that knows less, as the specification writes it', async () => {
    await grow(control, 4)
    await cosignHead(control, witness.witness)
    await grow(control, 4)
    expect(await post(await request(control, 0))).toEqual({
      status: 409,
      type: 'text/x.tlog.size',
      body: '4\n',
    })
    expect(await post((await request(control, 4)).replace(/^(old 4\n)[^\n]+\n/, '$1'))).toMatchObject({
      status: 422,
    })
    expect(await post(await request(control, 4))).toMatchObject({
      status: 200,
      body: expect.stringMatching(/^\u2014 witness\.example\/w1 [A-Za-z0-9+/=]+\n$/),
    })
    expect(await post(await request(control, 8))).toMatchObject({ status: 200 })
  })

  test('refuses another log, another key, and what is no request', async () => {
    const stranger = await newLog()
    await grow(stranger, 3, await newKeys())
    await expect(cosignHead(stranger, witness.witness)).rejects.toMatchObject({
      code: 'E_EVIDENCE_WITNESS_REFUSED',
      facts: { status: 403 },
    })
    const elsewhere = await newLog()
    await grow(elsewhere, 3, await newKeys('example.org/other'))
    await expect(cosignHead(elsewhere, witness.witness)).rejects.toMatchObject({
      code: 'E_EVIDENCE_WITNESS_REFUSED',
      facts: { status: 404 },
    })
    await grow(control, 3)
    const good = await request(control, 0)
    for (const bad of [
      '',
      'old 0',
      good.slice(6),
      good.replace('old 0', 'old 00'),
      good.slice(0, 60),
      `old 0\nAAAA${good.slice(5)}`,
    ])
      expect(await post(bad)).toMatchObject({ status: 400 })
    expect(await post(`old 0\n${'A'.repeat(43)}=\n${good.slice(6)}`)).toMatchObject({ status: 422 })
    expect(await post(good, 'other')).toMatchObject({ status: 404 })
    expect(await post(good, 'add-checkpoint', 'GET')).toMatchObject({ status: 405 })
    expect(existsSync(witness.state)).toBe(false)
  })

  test('reads no giant body', async () => {
    await grow(control, 1)
    const large = (await request(control, 0)) + 'x'.repeat(65_536)
    expect(await post(large)).toMatchObject({ status: 413 })
    await cosignHead(control, witness.witness)
    expect(await cosigners()).toHaveLength(1)
  })

  test('cosigns one history when two are shown at once', async () => {
    const other = await newLog()
    await grow(control, 6)
    await grow(other, 6)
    const asked = await Promise.all(
      [control, other, control, other, control, other].map(async (log) => post(await request(log, 0))),
    )
    expect(asked.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(asked.filter(({ status, body }) => status === 409 && body === '6\n')).toHaveLength(5)
  })

  test('killed between the disk and its answer, it cosigns the same head again and no other', async () => {
    await grow(control, 3)
    await cosignHead(control, witness.witness)
    await grow(control, 3)
    // a way on which answers are lost
    const relay = createRelay((client) => {
      const upstream = connect(witness.port, '127.0.0.1')
      client.pipe(upstream)
      for (const socket of [client, upstream]) socket.on('error', () => undefined)
      upstream.resume().on('close', () => client.destroy())
    })
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
    opened.push(() => new Promise((resolve) => relay.close(() => resolve())))
    const lossy = { ...witness.witness, url: `http://127.0.0.1:${(relay.address() as AddressInfo).port}` }
    const asked = expect(cosignHead(control, lossy)).rejects.toMatchObject({ code: 'E_EVIDENCE_WITNESS' })
    await expect.poll(() => readFileSync(witness.state, 'utf8')).toMatch(/^example\.org\/lethe\n6\n/)
    await witness.end('SIGKILL')
    await asked
    await witness.start()
    expect(witness.said).toContain('it has cosigned 6 entries')
    const fork = await newLog()
    await grow(fork, 6)
    await expect(cosignHead(fork, witness.witness)).rejects.toMatchObject({ code: 'E_EVIDENCE_BROKEN' })
    expect(await cosignHead(control, witness.witness)).toBe(6)
    await grow(control, 2)
    expect(await cosignHead(control, witness.witness)).toBe(8)
  })

  test('does not start on a state that it cannot read, and ends in order', async () => {
    await grow(control, 2)
    await cosignHead(control, witness.witness)
    expect(await witness.end('SIGTERM')).toMatchObject({ code: 0 })
    const state = readFileSync(witness.state, 'utf8')
    for (const [bent, code] of [
      [state.slice(0, 40), 'E_USAGE'],
      [state.replace('\n2\n', '\n3\n'), 'E_EVIDENCE_SIGNATURE'],
      [state.replace('example.org/lethe\n', 'example.org/other\n'), 'E_EVIDENCE_ORIGIN'],
    ] as const) {
      writeFileSync(witness.state, bent)
      await expect(witness.start()).rejects.toThrow(code)
    }
    writeFileSync(witness.state, state)
    await witness.start()
    await grow(control, 2)
    expect(await cosignHead(control, witness.witness)).toBe(4)
  })
})

describe('the log believes no witness', () => {
  test('that answers with the cosignature of another key, of another head, or with nothing', async () => {
    await grow(control, 3)
    const note = (await newestHead(control))?.note ?? ''
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
    const thief = signerFromPem('witness.example/w1', 'cosignature', pem)
    const own = signNote(parseNote(note).text, thief, new Date())
    const hidden = { ...own, id: witness.witness.key.id }
    const late = 2 ** 45
    const time = Buffer.alloc(8)
    time.writeBigUInt64BE(BigInt(late))
    const timed = Buffer.from(`cosignature/v1\ntime ${late}\n${parseNote(note).text}`)
    const endOfTime = { ...own, signature: Buffer.concat([time, sign(null, timed, privateKey)]) }
    const earlier = signNote(parseNote(note).text.replace('\n3\n', '\n2\n'), thief, new Date())
    for (const [key, body] of [
      [witness.witness.key, `${formatSignature(own)}\n`],
      [witness.witness.key, `${formatSignature(hidden)}\n`],
      [thief, `${formatSignature(earlier)}\n`],
      [thief, `${formatSignature(endOfTime)}\n`],
      [witness.witness.key, 'fine\n'],
      [witness.witness.key, ''],
    ] as const) {
      const url = await impostor((_request, response) => response.end(body))
      await expect(cosignHead(control, { url, key })).rejects.toMatchObject({
        code: 'E_EVIDENCE_WITNESS_REFUSED',
        facts: { reason: 'signature' },
      })
    }
    expect(await witnessStates(control)).toEqual([])
    // unknown lines beside its own are passed over
    const url = await impostor((_request, response) =>
      response.end(`${formatSignature(hidden)}\n${formatSignature(own)}\n`),
    )
    expect(await cosignHead(control, { url, key: thief })).toBe(3)
    expect((await newestHead(control))?.note).toBe(`${note}${formatSignature(own)}\n`)
  })

  test('that sends it elsewhere, never answers, answers without end, or fails', async () => {
    await grow(control, 3)
    const { key } = witness.witness
    let followed = 0
    const place = await impostor((_request, response) => {
      followed += 1
      response.end()
    })
    const redirect = await impostor((_request, response) =>
      response.writeHead(307, { location: `${place}/add-checkpoint` }).end(),
    )
    await expect(cosignHead(control, { url: redirect, key })).rejects.toMatchObject({
      code: 'E_EVIDENCE_WITNESS_REFUSED',
      facts: { status: 307 },
    })
    expect(followed).toBe(0)

    const endless = await impostor((_request, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      }
      response.on('drain', more)
      more()
    })
    await expect(cosignHead(control, { url: endless, key })).rejects.toMatchObject({
      code: 'E_EVIDENCE_WITNESS_REFUSED',
    })

    const failing = await impostor((_request, response) => response.writeHead(503).end())
    await expect(cosignHead(control, { url: failing, key })).rejects.toMatchObject({
      code: 'E_EVIDENCE_WITNESS',
      retryable: true,
      facts: { status: 503 },
    })

    const silent = await impostor(() => undefined)
    const shown = { size: 3, note: (await newestHead(control))?.note ?? '', prove: () => Promise.resolve([]) }
    await expect(askWitness({ url: silent, key }, shown, 0, 300)).rejects.toMatchObject({
      code: 'E_EVIDENCE_WITNESS',
      facts: { reason: 'timeout' },
    })

    const restless = await impostor((sent, response) => {
      let body = ''
      sent
        .on('data', (part: Buffer) => (body += part.toString()))
        .on('end', () =>
          response
            .writeHead(409, { 'content-type': 'text/x.tlog.size' })
            .end(`${(parseAddCheckpoint(body).old + 1) % 3}\n`),
        )
    })
    await expect(cosignHead(control, { url: restless, key })).rejects.toMatchObject({
      code: 'E_EVIDENCE_WITNESS',
    })
  })

  test('that says a keeper was overtaken by its successor', async () => {
    await grow(control, 3)
    // the successor's head, known to the witness, comes between the slow keeper's look and the answer
    const slow = await impostor((_request, response) => {
      void grow(control, 2).then(() =>
        response.writeHead(409, { 'content-type': 'text/x.tlog.size' }).end('5\n'),
      )
    })
    expect(await cosignHead(control, { url: slow, key: witness.witness.key })).toBe(null)
  })
})

test('The keeper needs the rights of the worker to keep a cosignature, and can change none.', async () => {
  await grow(control, 1)
  await control.execute(grantsSql('control', { roles }))
  const worker = openDatabase(`${urls.get(control)}?options=-c%20role%3D${roles.worker}`, {
    name: 'control',
    applicationName: 'lethe test',
  })
  try {
    expect(await cosignHead(worker, witness.witness)).toBe(1)
    for (const change of [
      `UPDATE lethe_control.evidence_cosignatures SET line = '\u2014 x'`,
      'DELETE FROM lethe_control.evidence_cosignatures',
    ]) {
      await expect(worker.execute(change)).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
      await expect(control.execute(change)).rejects.toThrow()
    }
  } finally {
    await worker.close()
  }
})

test('A verifier that is not ours accepts the cosignature: github.com/transparency-dev/formats.', async () => {
  await grow(control, 40)
  await cosignHead(control, witness.witness)
  writeFileSync(join(folder, 'proof'), await proveEvent(control, '7'))
  writeFileSync(join(folder, 'key'), publishedKeys(keys)[0] ?? '')
  writeFileSync(join(folder, 'witness'), witness.key)
  writeFileSync(join(folder, 'other'), formatVerifierKey(asCosigner((await newKeys()).signer)))
  const verify = async (cosigner: string) =>
    promisify(execFile)(
      await findProgram('go', 'golang-go'),
      ['run', '.', join(folder, 'proof'), join(folder, 'key'), join(folder, cosigner)],
      {
        cwd: new URL('../../../../support/go', import.meta.url).pathname,
        env: { ...process.env, GOFLAGS: '-mod=mod' },
      },
    )
  expect((await verify('witness')).stdout.trim()).toBe('holds: index 6 of 40, cosigned by witness.example/w1')
  await expect(verify('other')).rejects.toThrow('not cosigned')
}, 180_000)
