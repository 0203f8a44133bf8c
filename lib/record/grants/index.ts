export { grantsSql, type GrantOptions } from './grants.ts'
export { controlRights, roles, targetRights, type RoleName, type TableRights } from './rights.ts'
export { missingRights, requireRights, type MissingRight } from './check.ts'
