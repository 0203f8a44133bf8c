/** What people decided: the statements that they signed. */
export { eraseStatement, lockStatement, reasonOf, statementHash, storeStatement } from './statements.ts'
