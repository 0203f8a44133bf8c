import './errors.ts'

export { attest, type Evidence } from './attest.ts'
export { authorise, type Attested, type Identity } from './identity.ts'
export {
  checkPeople,
  identitiesSchema,
  oidcSchema,
  roles,
  type IdentityEntry,
  type People,
  type Role,
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
export { verbs, type DecisionVerb } from './verbs.ts'
