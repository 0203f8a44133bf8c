/** An entry of a subject's `other_stores`, in its short and its long form. */
import type { SubjectEntry } from './schema.ts'

export interface OtherStore {
  store: string
  /** For a PostgreSQL store: whose rows they are, and templates of their key. */
  linked: { subject: string; key: readonly string[] } | null
}

export function otherStore(entry: SubjectEntry['other_stores'][number]): OtherStore {
  return typeof entry === 'string'
    ? { store: entry, linked: null }
    : { store: entry.store, linked: { subject: entry.subject, key: entry.key } }
}
