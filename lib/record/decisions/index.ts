/** What people decided: the statements that they signed. */
export type { Attested } from './attested.ts'
export {
  eraseStatement,
  joinStatement,
  lockStatement,
  reasonOf,
  statementHash,
  storeStatement,
} from './statements.ts'
