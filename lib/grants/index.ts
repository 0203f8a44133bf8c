export { grantsSql, type GrantOptions } from './grants.ts'
export { controlRights, RETENTION_ROLE, targetRights } from './rights.ts'
export { missingRights, requireRights, type MissingRight } from './check.ts'
