import './errors.ts'

export { attest, nonceFor, verifyKept, type Evidence } from './attest.ts'
export { authorise, type Attested, type Demand, type Identity } from './identity.ts'
export { fetchIssuerKeys, type PublishedKey } from './issuer.ts'
export { keysFor, type SeenKey } from './token.ts'
export {
  checkPeople,
  identitiesSchema,
  oidcSchema,
  secondFactorSchema,
  type IdentityEntry,
  type People,
} from './schema.ts'
export { signWithSsh, sshKeygenWorks, verifySsh } from './ssh.ts'
export {
  checkStatement,
  parseStatement,
  statementFor,
  STATEMENT_MINUTES,
  type Decided,
  type Statement,
} from './statement.ts'
export { roles, verbs, type DecisionVerb, type Role } from './verbs.ts'
