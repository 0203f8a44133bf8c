export { grantsSql, type GrantOptions } from './grants.ts'
export { controlRights, targetRights } from './rights.ts'
export { missingRights, requireRights, type MissingRight } from './check.ts'
