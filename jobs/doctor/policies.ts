/** What the configuration says against the people and channels it needs. */
import type { Config } from '../../lib/config/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { attempt, examine, type Finding } from './finding.ts'
import type { Patient } from './patient.ts'

export function examinePeople(config: Config): Finding[] {
  const check = examine('identities', 'configuration')
  const entries = Object.entries(config.file.identities)
  const mute = entries
    .filter(([, entry]) => entry.ssh_keys.length === 0 && entry.oidc_subjects.length === 0)
    .map(([name]) => name)
  const able = entries.filter(([name]) => !mute.includes(name))
  const unapproved = Object.values(config.policies)
    .filter(
      (policy) =>
        !able.some(([, { roles }]) => roles.includes(policy.approver_role) || roles.includes('cto')),
    )
    .map((policy) => policy.name)
  return [
    ...(mute.length > 0
      ? check.warning(
          `${mute.join(', ')} can prove nothing: neither an SSH key nor an OIDC subject is given.`,
          'Add ssh_keys or oidc_subjects, or take the identity out.',
        )
      : []),
    ...(unapproved.length > 0
      ? examine('approvers', 'configuration').error(
          `Nobody can approve: ${unapproved.join(', ')}. No identity with a key has the approver's role or cto.`,
          'Add an identity with the role and a public key to `identities`.',
        )
      : check.ok(`${able.length} identit${able.length === 1 ? 'y' : 'ies'} can prove who they are`)),
  ]
}

export async function examinePolicies(patient: Patient, control: Database | null): Promise<Finding[]> {
  const { config } = patient
  const findings: Finding[] = []
  for (const policy of Object.values(config.policies)) {
    const mode = examine('policy-mode', policy.name)
    if (control !== null)
      findings.push(
        ...(await attempt('policy-mode', policy.name, async () => {
          const { mode: now, changed } = await patient.policyMode(control, policy)
          if (changed)
            return mode.warning(
              'It changed since it was armed, so it only observes.',
              `Review it, then: lethe arm ${policy.name} --reason "WHY"`,
            )
          return now === 'armed'
            ? mode.ok('armed')
            : mode.note(
                'It only observes: it plans and reports, and deletes nothing.',
                `To arm it: lethe arm ${policy.name} --reason "WHY"`,
              )
        })),
      )
    if (policy.warnings.length > 0 && config.file.notifications.channel === 'log')
      findings.push(
        ...examine('notifications', policy.name).warning(
          'It warns before it purges, and notifications.channel is log: nobody is told, so nobody is ever purged.',
          'Set notifications.channel to webhook or smtp.',
        ),
      )
  }
  return [...findings, ...channel(config)]
}

/** The addresses and secrets that notifications name are there. */
function channel(config: Config): Finding[] {
  const { channel: kind, webhook, smtp } = config.file.notifications
  const references = kind === 'webhook' ? [webhook?.url, webhook?.secret] : kind === 'smtp' ? [smtp?.url] : []
  return references.flatMap((reference) => {
    if (reference === undefined) return []
    try {
      config.secret(reference)
      return []
    } catch (error) {
      if (!(error instanceof LetheError)) throw error
      return examine('notifications', 'configuration').error(error.message, error.next)
    }
  })
}
