/** What one invalidation holds. https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Invalidation.html */
import { canonicalHash } from '../../../../base/canonical/index.ts'
import type { Address } from '../urls.ts'

/** Paths in progress, and those of them with a wildcard, that one distribution may have. */
const PATHS = 3000
const WILDCARDS = 15

/** The same addresses and limit make the same batches. */
export function batchesOf(addresses: readonly Address[], limit: number): Address[][] {
  const batches: Address[][] = []
  let batch: Address[] = []
  let wild = 0
  for (const address of addresses) {
    const isWild = isWildcard(address.text)
    if (batch.length >= Math.min(limit, PATHS) || (isWild && wild >= WILDCARDS)) {
      batches.push(batch)
      batch = []
      wild = 0
    }
    batch.push(address)
    if (isWild) wild += 1
  }
  if (batch.length > 0) batches.push(batch)
  return batches
}

export function isWildcard(path: string): boolean {
  return path.endsWith('*')
}

/** One run invalidates the same paths once, however often it asks; another run does it anew. */
export function referenceOf(runId: string, paths: readonly string[]): string {
  return `lethe-${canonicalHash({ runId, paths })}`
}
