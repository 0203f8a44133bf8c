/** The machine Lethe runs on. */
import type { Config } from '../../lib/config/index.ts'
import { sshKeygenWorks } from '../../lib/people/identity/index.ts'
import { openKeystore } from '../../lib/base/keystore/index.ts'
import { examine, type Finding } from './finding.ts'

/**
 * The release of each line of Node that has its latest security fixes, of 2026-11-11; earlier ones are vulnerable, other
 * lines get no fixes (https://nodejs.org/en/blog/vulnerability). The same as `engines` in package.json: a test compares.
 */
export const FIXED_NODES = [
  [22, 23, 5],
  [24, 22, 3],
  [26, 13, 1],
] as const

export async function examineMachine(nodeVersion: string): Promise<Finding[]> {
  const node = examine('node', 'machine')
  const ssh = examine('ssh-keygen', 'machine')
  return [
    ...(isFixed(nodeVersion)
      ? node.ok(`Node ${nodeVersion}`)
      : node.error(
          `Node ${nodeVersion} is too old, or its line lacks security fixes.`,
          `Install Node ${FIXED_NODES.map((version) => version.join('.')).join(', or ')}, or a newer one of that line.`,
        )),
    ...((await sshKeygenWorks())
      ? ssh.ok('ssh-keygen signs and verifies')
      : ssh.error(
          'ssh-keygen is missing or older than OpenSSH 8.2: no approval can be given or checked.',
          'Install the package openssh-client.',
        )),
  ]
}

function isFixed(nodeVersion: string): boolean {
  const [major = 0, minor = 0, patch = 0] = nodeVersion.split('.').map(Number)
  return FIXED_NODES.some(
    (fixed) => major === fixed[0] && (minor > fixed[1] || (minor === fixed[1] && patch >= fixed[2])),
  )
}

/** Throws E_KEYSTORE_*, E_CONFIG_MISSING. */
export async function examineKeystore(config: Config): Promise<Finding[]> {
  const keystore = await openKeystore(config.keystorePath)
  return examine('keystore', 'keystore').ok(
    `${config.keystorePath} holds ${keystore.keyIds.length} key${keystore.keyIds.length === 1 ? '' : 's'}, readable by its owner only`,
  )
}
