/** One thing the doctor looked at. */
import { LetheError } from '../../lib/base/errors/index.ts'

export type Severity = 'ok' | 'note' | 'warning' | 'error'

export interface Finding {
  /** Stable, for scripts: `redis-eviction`, `target-rights` … */
  check: string
  severity: Severity
  /** What it was found on: `control`, a store's name, `redis`, `machine`, a policy. */
  on: string
  message: string
  /** What to do about it; null where nothing has to be done. */
  mend: string | null
  /** The dependency did not answer, so that what stands behind it could not be looked at. */
  unavailable: boolean
}

/** Makes findings of one check on one thing. */
export function examine(check: string, on: string) {
  const finding = (severity: Severity, message: string, mend: string | null): Finding => ({
    check,
    severity,
    on,
    message,
    mend,
    unavailable: false,
  })
  return {
    ok: (message: string) => [finding('ok', message, null)],
    note: (message: string, mend: string | null = null) => [finding('note', message, mend)],
    warning: (message: string, mend: string) => [finding('warning', message, mend)],
    error: (message: string, mend: string) => [finding('error', message, mend)],
  }
}

/** What a check found, or the error that stopped it as a finding. Throws only what nobody raised on purpose. */
export async function attempt(check: string, on: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look()
  } catch (error) {
    if (!(error instanceof LetheError)) throw error
    return [
      {
        check,
        severity: 'error',
        on,
        message: `${error.code}: ${error.message}`,
        mend: error.next,
        unavailable: error.exitCode === 20,
      },
    ]
  }
}

/** 0: nothing fails (there may be warnings); 20: something did not answer; 12: something would be refused. */
export function exitCodeOf({ findings }: { findings: readonly Finding[] }): 0 | 12 | 20 {
  const errors = findings.filter((finding) => finding.severity === 'error')
  if (errors.length === 0) return 0
  return errors.some((finding) => finding.unavailable) ? 20 : 12
}
