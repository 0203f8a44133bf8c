/** OpenBao and HashiCorp Vault: who we are to them, and calls in that name. */
export { openbaoSession, type OpenbaoOptions, type OpenbaoSession } from './session.ts'
