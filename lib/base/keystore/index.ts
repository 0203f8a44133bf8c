import './errors.ts'

export type { Sealed, Vault } from './vault.ts'
export { openKeystore } from './keystore.ts'
