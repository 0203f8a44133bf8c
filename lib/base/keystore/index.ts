import './errors.ts'

export {
  everySubjectHash,
  HASH_VERSION,
  hashVersions,
  type HashVersion,
  type Keystore,
  type Sealed,
} from './keystore.ts'
export { openKeystore } from './embedded.ts'
