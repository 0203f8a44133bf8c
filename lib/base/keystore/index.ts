import './errors.ts'

export type { Sealed, Keystore } from './keystore.ts'
export { openKeystore } from './embedded.ts'
