/** A decision with its evidence, as it comes here once `people/identity` has verified who agreed, and the job that they may. */
export interface Attested {
  identity: {
    /** Its name under `identities` in the configuration. */
    name: string
    method: string
  }
  /** The exact bytes that were agreed to. */
  statement: string
  /** What proves who agreed to them. */
  signature: string
  /** The token that the signature names, sealed. */
  token: { keyId: string; cipher: Buffer } | null
}
