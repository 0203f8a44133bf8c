import './errors.ts'

export type * from './eraser.ts'
export type { OpenedStore, StoreTools } from './define.ts'
export { openStore, storesBefore } from './open.ts'
export { storeSchema, type StoreEntry } from './kinds.ts'
export { checkStores } from './check.ts'
export { Findings } from './findings.ts'

export { postgresCapabilities, postgresEraser } from './stores/postgres/eraser.ts'
