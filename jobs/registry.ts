/** Every kind of job that this version of Lethe knows. A new kind stands here and nowhere else. */
import { createRegistry, type JobKind } from './kind.ts'
import { retentionKinds } from './retention/index.ts'

const kinds: readonly JobKind[] = [...retentionKinds]

export const registry = createRegistry(kinds)
