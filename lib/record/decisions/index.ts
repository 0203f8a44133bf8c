/** What people decided: the statements that they signed, and how a decision is recorded. */
import './errors.ts'

export type { Attested } from './attested.ts'
export { recordDecision } from './record.ts'
export {
  eraseStatement,
  joinStatement,
  lockStatement,
  lostStatements,
  reasonOf,
  statementHash,
} from './statements.ts'
