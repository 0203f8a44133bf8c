/** Every kind of job that this version of Lethe knows. A new kind stands here and nowhere else. */
import { createRegistry, type JobKind } from './kind.ts'

const kinds: readonly JobKind[] = []

export const registry = createRegistry(kinds)
