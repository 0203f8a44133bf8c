export { grantsSql, type GrantOptions } from './grants.ts'
export { controlRights, targetRights } from './rights.ts'
