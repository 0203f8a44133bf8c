export { grantsSql, type GrantOptions } from './grants.ts'
export {
  appendOnlyTables,
  controlRights,
  roles,
  targetRights,
  type RoleName,
  type TableRights,
} from './rights.ts'
export { appendOnlyState } from './append-only.ts'
export { missingRights, requireRights, type MissingRight } from './check.ts'
