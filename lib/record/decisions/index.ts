/** What people decided: the statements that they signed, and how a decision is recorded. */
import './errors.ts'

export type { Attested } from './attested.ts'
export { keepIssuerKeys, keptIssuerKeys, type IssuerKey } from './issuer-keys.ts'
export { recordDecision } from './record.ts'
export {
  eraseStatement,
  forgetToken,
  joinStatement,
  lockStatement,
  lostStatements,
  oldTokens,
  readStatement,
  reasonOf,
  statementHash,
  type KeptStatement,
} from './statements.ts'
