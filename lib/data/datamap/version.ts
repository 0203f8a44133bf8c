import { canonicalHash } from '../../base/canonical/index.ts'
import type { DataMap } from './schema.ts'

/** SHA-256 (hex) of the map's canonical JSON; comments, key order and quoting in the file don't count. */
export function mapVersion(map: DataMap): string {
  const { stores, subjects, tables, accept } = map
  return canonicalHash({ stores, subjects, tables, accept })
}
