/** Whether later calls could work, asked at places where there is nothing. The right to delete can't be asked for by reading. */
import { orRefused, refusal, type S3Server } from '../../../../base/s3/index.ts'
import { LIST, uploadPages, versionPages } from './list.ts'
import { lockingBuckets, lockOf } from './lock.ts'
import { targetsOfNobody, type S3Plan } from './plan.ts'

/** Throws E_STORE_REFUSED, E_STORE_THROTTLED or E_STORE_UNAVAILABLE. */
export async function probe(server: S3Server, plan: S3Plan, signal: AbortSignal): Promise<void> {
  const targets = targetsOfNobody(plan)
  const locking = await lockingBuckets(server, targets, signal)
  for (const target of targets) {
    const { bucket, text } = target
    await orRefused(server, bucket, LIST, async () => {
      for (const pages of [uploadPages, versionPages])
        for await (const found of pages(server, target, signal)) void found
    })
    if (!locking.has(bucket)) continue
    const nothing = { target, key: text, versionId: 'null', marker: false, latest: true }
    const lock = await lockOf(server, nothing, signal)
    // Servers have many words for a version that isn't there, and one for a missing right.
    if (typeof lock === 'object' && 'unknown' in lock && lock.unknown === 'AccessDenied')
      throw refusal(server, bucket, 'say what it locks', lock.unknown)
  }
}
