import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openKeystore } from '../../../../../lib/base/keystore/index.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lethe-keystore-'))
  path = join(folder, 'keystore.json')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('is made once, readable by its owner only, and opened again with the same keys', async () => {
  const made = await openKeystore(path, { create: true })
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  const hash = made.subjectHash('main', 'person', ['1'])
  const again = await openKeystore(path, { create: true })
  expect(again.subjectHash('main', 'person', ['1'])).toEqual(hash)
  expect(await readdir(folder)).toEqual(['keystore.json'])
})

test('made by many at once, is one keystore', async () => {
  const keystores = await Promise.all(Array.from({ length: 12 }, () => openKeystore(path, { create: true })))
  expect(new Set(keystores.map((keystore) => keystore.currentKeyId)).size).toBe(1)
  expect(await readdir(folder)).toEqual(['keystore.json'])
})

test('is not made unasked', async () => {
  await expect(openKeystore(path)).rejects.toMatchObject({ code: 'E_KEYSTORE_MISSING' })
})

test.each([0o640, 0o604, 0o620])('is refused when others may use the file (mode %o)', async (mode) => {
  await openKeystore(path, { create: true })
  await chmod(path, mode)
  await expect(openKeystore(path)).rejects.toMatchObject({ code: 'E_KEYSTORE_MODE' })
})

test('that is damaged is refused without a word of its content', async () => {
  await openKeystore(path, { create: true })
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.slice(0, -20), { mode: 0o600 })
  const error: unknown = await openKeystore(path).catch((e: unknown) => e)
  expect(error).toMatchObject({ code: 'E_KEYSTORE_INVALID' })
  const secret = /"secret": "([^"]+)"/.exec(text)?.[1] ?? 'none'
  expect(String(error)).not.toContain(secret)
})

test('a subject’s hash depends on the database, its kind, each part of its key, and the key that made it', async () => {
  const keystore = await openKeystore(path, { create: true })
  const hashes = [
    keystore.subjectHash('main', 'person', ['1', '2']),
    keystore.subjectHash('other', 'person', ['1', '2']),
    keystore.subjectHash('main', 'clinician', ['1', '2']),
    keystore.subjectHash('main', 'person', ['12']),
    keystore.subjectHash('main', 'person', ['1', '2', '']),
  ]
  const old = keystore.currentKeyId
  await keystore.rotate()
  hashes.push(keystore.subjectHash('main', 'person', ['1', '2']))
  expect(new Set(hashes.map((hash) => hash.toString('hex'))).size).toBe(6)
  expect(keystore.subjectHash('main', 'person', ['1', '2'], old)).toEqual(hashes[0])
  expect(hashes[0]).toHaveLength(32)
})

test('a rotation keeps old keys, and a process that opened the file before learns the new one', async () => {
  const one = await openKeystore(path, { create: true })
  const two = await openKeystore(path)
  const before = one.seal('key of a hold')
  await two.rotate()
  const after = two.seal('key of another')
  expect(after.keyId).not.toBe(before.keyId)
  expect(two.open(before.keyId, before.cipher).toString()).toBe('key of a hold')
  expect(one.open(after.keyId, after.cipher).toString()).toBe('key of another')
  expect(two.keyIds).toHaveLength(2)
})

test('of two rotations at once none loses a key', async () => {
  const keystores = await Promise.all(Array.from({ length: 4 }, () => openKeystore(path, { create: true })))
  const ended = await Promise.allSettled(keystores.map((keystore) => keystore.rotate()))
  const added = ended.filter((result) => result.status === 'fulfilled').map((result) => result.value)
  expect(added.length).toBeGreaterThan(0)
  const now = await openKeystore(path)
  expect(now.keyIds).toEqual(expect.arrayContaining(added))
  expect(now.keyIds).toHaveLength(1 + added.length)
})

test('what was sealed and then changed, or moved to another key, is refused', async () => {
  const keystore = await openKeystore(path, { create: true })
  const { keyId, cipher } = keystore.seal('secret')
  expect(keystore.seal('secret').cipher).not.toEqual(cipher)
  const changed = Buffer.from(cipher)
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
  expect(() => keystore.open(keyId, changed)).toThrow(expect.objectContaining({ code: 'E_KEYSTORE_CIPHER' }))
  const other = await keystore.rotate()
  expect(() => keystore.open(other, cipher)).toThrow(expect.objectContaining({ code: 'E_KEYSTORE_CIPHER' }))
  expect(() => keystore.open('nobody', cipher)).toThrow(
    expect.objectContaining({ code: 'E_KEYSTORE_KEY_UNKNOWN' }),
  )
})

test('a pseudonym key is the same for the same database and key, and no other', async () => {
  const keystore = await openKeystore(path, { create: true })
  expect(keystore.pseudonymKey('main')).toBe(keystore.pseudonymKey('main'))
  expect(keystore.pseudonymKey('main')).not.toBe(keystore.pseudonymKey('other'))
})
