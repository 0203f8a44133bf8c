/** Which minor release of each PostgreSQL has its security fixes, and how to tell a release from what a program prints. */

/**
 * The minor release of each major version that has the security fixes known on 2026-11-12: earlier ones let whoever may
 * create a table or call a function run code on the server (CVE-2026-6460, CVE-2026-120141, each "before 18.7, 17.12,
 * 16.16, 15.20"). Source: https://www.postgresql.org/support/security/
 */
export const FIXED_MINORS: ReadonlyMap<number, number> = new Map([
  [15, 20],
  [16, 16],
  [17, 12],
  [18, 7],
])

export interface PostgresVersion {
  major: number
  minor: number
}

/**
 * The release that `text` begins with: `15.18`, `18.6 (Debian 18.6-1.pgdg12+1)`, `15.20-0+deb12u1`, or what `postgres
 * --version` and `SELECT version()` print. A beta, a release candidate or a development version has minor 0: it precedes
 * every release. Throws where there is none.
 */
export function parseVersion(text: string): PostgresVersion {
  const found = /^(?:\S+ \(PostgreSQL\) |PostgreSQL )?(\d+)(?:\.(\d+)|beta\d+|rc\d+|devel|$)/.exec(
    text.trim(),
  )
  if (found === null) throw new Error(`no version of PostgreSQL: ${text}`)
  return { major: Number(found[1]), minor: Number(found[2] ?? 0) }
}

/** The release that is missed, `15.20`; null where this one has the fixes, or is of a major version not in the table. */
export function missedRelease({ major, minor }: PostgresVersion): string | null {
  const fixed = FIXED_MINORS.get(major)
  return fixed === undefined || minor >= fixed ? null : `${major}.${fixed}`
}
