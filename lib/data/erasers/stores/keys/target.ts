/** One key of one subject, and the place of the map that it is found by. */

/** `{ name: 'records', key: 'patient-{id}' }`: the key's name as the backend spells it. */
export interface KeyPlace {
  name: string
  key: string
  /** OpenBao and Vault only, and needed there: `transit` has keys, `kv` (version 2) secrets. */
  engine?: 'transit' | 'kv'
  /** Where that engine is mounted; `transit` or `secret` by default. */
  mount?: string
}

/** One key of one subject. */
export interface Target {
  /** The subject's position in the call. */
  subject: number
  place: KeyPlace
  key: string
}

/** The same key, whatever place it is reached by. */
export function nameOf({ place: { engine, mount }, key }: Target): string {
  return JSON.stringify([engine, mount, key])
}

/** A slash in a value would lead into another folder of the backend. */
export function sameDepth(template: string, key: string): boolean {
  return template.split('/').length === key.split('/').length
}
