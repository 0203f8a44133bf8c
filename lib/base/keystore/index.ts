import './errors.ts'

export { everySubjectHash, type Keystore, type Sealed } from './keystore.ts'
export { openKeystore } from './embedded.ts'
