import { expect, test } from 'vitest'
import { openBucket } from '../../../../../lib/base/bucket/index.ts'
import { startProxy } from '../../../../support/servers/servers.ts'
import { sharedS3 } from '../../../../support/servers/shared.ts'

test('A bucket that swallows what is sent is away, not waited for without end.', async () => {
  const { endpoint, region, accessKeyId, secretAccessKey } = await sharedS3()
  const { hostname, port } = new URL(endpoint)
  const proxy = await startProxy(hostname, Number(port), { protocol: 'raw' })
  const bucket = openBucket({
    name: 'nobody',
    region,
    endpoint: `http://127.0.0.1:${proxy.port}`,
    credentials: { accessKeyId, secretAccessKey },
    attemptMs: 100,
  })
  try {
    proxy.blackhole()
    await expect(bucket.get('x')).rejects.toMatchObject({ code: 'E_BUCKET_UNAVAILABLE' })
    const put = bucket.put('x', Buffer.from('x'), { contentType: 'text/plain', lockedUntil: new Date(0) })
    await expect(put).rejects.toMatchObject({ code: 'E_BUCKET_UNAVAILABLE' })
  } finally {
    bucket.close()
    await proxy.close()
  }
}, 120_000)
