/** The machine Lethe runs on. */
import type { Config } from '../../lib/config/index.ts'
import { sshKeygenWorks } from '../../lib/people/identity/index.ts'
import { openKeystore } from '../../lib/base/keystore/index.ts'
import { examine, type Finding } from './finding.ts'

const OLDEST_NODE = [22, 18] as const

export async function examineMachine(nodeVersion: string): Promise<Finding[]> {
  const node = examine('node', 'machine')
  const ssh = examine('ssh-keygen', 'machine')
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number)
  const old = major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])
  return [
    ...(old
      ? node.error(`Node ${nodeVersion} is too old.`, `Install Node ${OLDEST_NODE.join('.')} or newer.`)
      : node.ok(`Node ${nodeVersion}`)),
    ...((await sshKeygenWorks())
      ? ssh.ok('ssh-keygen signs and verifies')
      : ssh.error(
          'ssh-keygen is missing or older than OpenSSH 8.2: no approval can be given or checked.',
          'Install the package openssh-client.',
        )),
  ]
}

/** Throws E_KEYSTORE_*, E_CONFIG_MISSING. */
export async function examineKeystore(config: Config): Promise<Finding[]> {
  const vault = await openKeystore(config.keystorePath)
  return examine('keystore', 'keystore').ok(
    `${config.keystorePath} holds ${vault.keyIds.length} key${vault.keyIds.length === 1 ? '' : 's'}, readable by its owner only`,
  )
}
