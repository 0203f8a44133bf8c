/** `lethe doctor`: everything that would bite, each with its mend. */
import type { Output } from './output.ts'
import { readConfig, type AddCommands, type Session } from './session.ts'
import type { Diagnosis } from '../../jobs/doctor/index.ts'

export const doctorCommands: AddCommands = (program, session) => {
  program
    .command('doctor')
    .description(
      'every dependency, version, role and setting that would bite, each with its mend; changes nothing',
    )
    .action(() => run(session))
}

async function run(session: Session): Promise<void> {
  const [{ diagnose, exitCodeOf }, { policyMode }] = await Promise.all([
    import('../../jobs/doctor/index.ts'),
    import('../../jobs/retention/index.ts'),
  ])
  const config = await readConfig(session)
  const found = await diagnose({ config, policyMode, nodeVersion: process.versions.node })
  session.exitCode = exitCodeOf(found)
  session.output.data(found, text(found, session.output))
}

const marks = { ok: 'ok  ', note: 'note', warning: 'WARN', error: 'FAIL' } as const

function text(found: Diagnosis, output: Output): string {
  const lines = found.findings.map((finding) => {
    const head = `${marks[finding.severity]}  ${finding.on}: ${finding.message}`
    const shown = finding.severity === 'ok' ? head : output.bold(head)
    return finding.mend === null ? shown : `${shown}\n      mend: ${finding.mend}`
  })
  const number = (severity: keyof typeof marks) =>
    found.findings.filter((finding) => finding.severity === severity).length
  return [...lines, `${number('error')} failures, ${number('warning')} warnings.`].join('\n')
}
