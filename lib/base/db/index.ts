import './errors.ts'

export {
  openDatabase,
  prepared,
  type Database,
  type OpenOptions,
  type Queryable,
  type Statement,
  type Transaction,
  type TransactionOptions,
} from './database.ts'
export { databaseError, isOfOneRow, refuserOf } from './failure.ts'
export { migrate, requireSchema, schemaState, type SchemaKind, type SchemaState } from './migrate.ts'
export { databaseNow } from './now.ts'
export { checkClockSkew, clockSkewSeconds, MAX_SKEW_SECONDS } from './skew.ts'
