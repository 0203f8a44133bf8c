import './errors.ts'

export type * from './eraser.ts'
export { openStore, type OpenedStore } from './open.ts'
export type { StoreTools } from './open-tools.ts'
export { checkStores } from './check.ts'
export { Findings } from './findings.ts'

export { postgresCapabilities, postgresEraser } from './stores/postgres/eraser.ts'
