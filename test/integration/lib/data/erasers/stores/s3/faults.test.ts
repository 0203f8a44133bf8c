/** The eraser for S3 before a server that is busy, away or half heard. */
import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { never } from '../../../../../../support/stages/erasing.ts'
import { askedToDelete, isDelete } from '../../../../../../support/servers/s3-between.ts'
import {
  stageS3,
  s3,
  client,
  between,
  eraser,
  bucket,
  one,
  openEraser,
  makeBucket,
  put,
  there,
  plan,
  request,
  erase,
  verify,
} from '../../../../../../support/stages/s3-stage.ts'
import { startProxy } from '../../../../../../support/servers/servers.ts'

stageS3()

describe('a server that is busy', () => {
  test.each([
    [503, 'SlowDown'],
    [429, 'TooManyRequests'],
  ])('%s %s is waited out', async (status, code) => {
    await makeBucket('never')
    await put('patients/1/a')
    let left = 2
    between.answer = (seen) =>
      isDelete(seen) && left-- > 0 ? { status, body: `<Error><Code>${code}</Code></Error>` } : null
    expect((await erase()).removed).toEqual({ files: 1 })
    expect(between.seen.filter(isDelete)).toHaveLength(3)
  })

  test('it never stops being busy: an end within the deadline, to be tried again', async () => {
    await makeBucket('never')
    await put('patients/1/a')
    const hasty = openEraser(between.endpoint, { deadlineMs: 150 })
    between.answer = (seen) =>
      isDelete(seen) ? { status: 503, body: '<Error><Code>SlowDown</Code></Error>' } : null
    await expect(erase([one], undefined, hasty)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      retryable: true,
      facts: { reason: 'deadline' },
    })
    hasty.close()
  })

  /** Answers for one key in its own words and lets the server do the rest. */
  const failFor = (key: string, code: string, times: number) => {
    let left = times
    between.answer = async (seen) => {
      const asked = isDelete(seen) ? askedToDelete(seen) : []
      if (!asked.some((object) => object.key === key) || left-- <= 0) return null
      const done: string[] = []
      for (const object of asked) {
        const named = `<Key>${object.key}</Key><VersionId>${object.versionId}</VersionId>`
        if (object.key === key)
          done.push(`<Error>${named}<Code>${code}</Code><Message>${key}</Message></Error>`)
        else {
          await client.send(
            new DeleteObjectCommand({ Bucket: bucket, Key: object.key, VersionId: object.versionId }),
          )
          done.push(`<Deleted>${named}</Deleted>`)
        }
      }
      return { status: 200, body: `<DeleteResult>${done.join('')}</DeleteResult>` }
    }
  }

  test('for one key inside an answer of success: that key is asked for again', async () => {
    await makeBucket('Enabled')
    for (const key of ['a', 'b', 'c']) await put(`patients/1/${key}`)
    failFor('patients/1/b', 'InternalError', 2)
    expect(await erase()).toMatchObject({ removed: { files: 3 }, messages: [] })
    expect(between.seen.filter(isDelete).map((seen) => askedToDelete(seen).length)).toEqual([3, 1, 1])
  })

  test('for one key all the time: the others go first, then it says so, without the key', async () => {
    await makeBucket('Enabled')
    for (const key of ['a', 'b', 'c']) await put(`patients/1/${key}`)
    failFor('patients/1/b', 'SlowDown', 99)
    const failed = await erase().catch((error: unknown) => error)
    expect(failed).toMatchObject({
      code: 'E_STORE_THROTTLED',
      retryable: true,
      facts: { removed: { files: 2 } },
    })
    expect(JSON.stringify([failed, String(failed), (failed as Error).stack])).not.toContain('patients/1')
    expect(await there()).toEqual(['patients/1/b'])
    between.answer = () => null
    expect((await erase()).removed).toEqual({ files: 1 })
  })

  test('refused for one key for good: told of once, by place and word', async () => {
    await makeBucket('Enabled')
    for (const key of ['a', 'b', 'c']) await put(`patients/1/${key}`)
    failFor('patients/1/b', 'AccessDenied', 99)
    expect(await erase()).toMatchObject({
      removed: { files: 2 },
      messages: ['1 in files refused: AccessDenied.'],
      more: false,
    })
  })

  test('what the answer leaves out does not count as removed', async () => {
    await makeBucket('never')
    await put('patients/1/a')
    between.answer = (seen) =>
      isDelete(seen) ? { status: 200, body: '<DeleteResult></DeleteResult>' } : null
    expect(await erase()).toMatchObject({ removed: {}, messages: ['1 in files refused: unanswered.'] })
  })

  test('refused ones do not take the room of those that may go', async () => {
    await makeBucket('Enabled')
    for (const key of ['a', 'b', 'c']) await put(`patients/1/${key}`)
    failFor('patients/1/a', 'AccessDenied', 99)
    const page = await eraser.erase([one], plan(), request(1), never)
    expect(page).toMatchObject({ removed: { files: 1 }, more: true })
    await eraser.erase([one], plan(), request(1), never)
    expect(await there()).toEqual(['patients/1/a'])
  })
})

describe('behind a bad line', () => {
  const line = async (limits: { deadlineMs: number; attemptMs: number }) => {
    const { hostname, port } = new URL(s3.endpoint)
    const proxy = await startProxy(hostname, Number(port), { protocol: 'raw' })
    const by = openEraser(`http://127.0.0.1:${proxy.port}`, limits)
    return {
      proxy,
      by,
      close: async () => {
        by.close()
        await proxy.close()
      },
    }
  }

  test.each(['cut', 'blackhole'] as const)(
    '%s at every message: tried again, nothing half-known, and it ends',
    async (fault) => {
      await makeBucket('locked')
      const { proxy, by, close } = await line({ deadlineMs: 1200, attemptMs: 400 })
      let failures = 0
      for (let at = 1; ; at += 1) {
        for (const key of ['a', 'b']) await put(`patients/1/${key}`)
        proxy.counter.count = 0
        proxy.counter.onMessage = (n) => {
          if (n === at && fault === 'blackhole') proxy.blackhole()
          return n !== at || fault !== 'cut'
        }
        const failed = await erase([one], undefined, by).then(
          () => null,
          (error: unknown) => error,
        )
        proxy.counter.onMessage = () => true
        proxy.heal()
        if (failed === null) break
        failures += 1
        expect(failed).toMatchObject({ code: 'E_STORE_UNAVAILABLE', retryable: true })
        expect((await erase([one], undefined, by)).more).toBe(false)
        expect(await verify(one, undefined, by)).toMatchObject({ absent: true })
      }
      // The lock's question, uploads, versions, two locks of two calls each, the deletion.
      expect(failures).toBeGreaterThanOrEqual(5)
      await close()
    },
    120_000,
  )

  test('the answer to a deletion gets lost: done again, it is done', async () => {
    await makeBucket('never')
    await put('patients/1/a')
    let lost = 0
    between.answer = async (seen) => {
      if (!isDelete(seen) || lost++ > 0) return null
      for (const { key, versionId } of askedToDelete(seen))
        await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId }))
      return { status: 500, body: '' }
    }
    expect(await erase()).toMatchObject({ messages: [], more: false })
    expect(await there()).toEqual([])
  })

  test('one attempt without an answer is given up, the next one gets through', async () => {
    await makeBucket('never')
    await put('patients/1/a')
    const patient = openEraser(between.endpoint, { attemptMs: 300, deadlineMs: 10_000 })
    let swallowed = 0
    between.answer = ({ url }) =>
      url.includes('versions') && swallowed++ === 0 ? new Promise(() => undefined) : null
    expect((await erase([one], undefined, patient)).removed).toEqual({ files: 1 })
    expect(swallowed).toBe(2)
    patient.close()
  })

  test('slow is not broken', async () => {
    await makeBucket('never')
    await put('patients/1/a')
    between.answer = () => new Promise((resolve) => setTimeout(resolve, 300, null))
    expect((await erase()).removed).toEqual({ files: 1 })
  })

  test('whoever gives up while it waits is let go at once, with the reason', async () => {
    await makeBucket('never')
    await put('patients/1/a')
    const stop = new AbortController()
    between.answer = ({ url }) => {
      if (!url.includes('versions')) return null
      stop.abort(new Error('enough'))
      return new Promise(() => undefined)
    }
    await expect(eraser.erase([one], plan(), request(), stop.signal)).rejects.toThrow('enough')
    expect(await there()).toEqual(['patients/1/a'])
  })
})
