/** Every kind of job that this version of Lethe knows. A new kind stands here and nowhere else. */
import { erasureKinds } from './erasure/index.ts'
import { evidenceKinds } from './evidence/index.ts'
import { createRegistry, type JobKind } from './kind.ts'
import { retentionKinds } from './retention/index.ts'

const kinds: readonly JobKind[] = [...retentionKinds, ...erasureKinds, ...evidenceKinds]

export const registry = createRegistry(kinds)
