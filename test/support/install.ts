/** Finds a server's program; installs it where that can be done (root on Debian); otherwise says exactly what to install. */
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, readdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

const postgresRoot = '/usr/lib/postgresql'

/** Path of `program`; `packages` are Debian's, with a space between them. Throws an error naming what to install. */
export async function findProgram(program: string, packages: string): Promise<string> {
  return (await locate(program)) ?? (await install(program, packages))
}

async function locate(program: string): Promise<string | undefined> {
  const versions = await readdir(postgresRoot).catch(() => [])
  const folders = [
    ...versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(postgresRoot, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
  ]
  for (const folder of folders) {
    const path = join(folder, program)
    if (await exists(path, constants.X_OK)) return path
  }
  return undefined
}

async function install(program: string, packages: string): Promise<string> {
  const advice = `${program} is missing: install it from Debian (apt-get install ${packages}), or see test/support/servers.ts for other ways (a Docker engine, an address in the environment).`
  if (process.getuid?.() !== 0 || !(await exists('/usr/bin/apt-get', constants.X_OK))) throw new Error(advice)
  process.stderr.write(`installing ${packages}\n`)
  const output = await aptInstall(packages)
  const found = await locate(program)
  if (found === undefined) throw new Error(`${advice} apt-get said: ${output.slice(-1000)}`)
  return found
}

/**
 * One shell script under one lock, in its own session: it finishes and puts back what it changed even when this process
 * is killed half-way, and two test files that both miss a server wait for each other. Debian would start a service as it
 * installs it and make a cluster of its own: a start policy and createcluster.conf say no for the time of the installation.
 */
const script = `
set -eu
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.conf
restore() {
  [ -z "\${made_policy:-}" ] || rm -f "$policy"
  [ ! -e "$cluster.lethe-saved" ] || mv -f "$cluster.lethe-saved" "$cluster"
}
trap restore EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\\nexit 101\\n' >"$policy"; made_policy=yes; chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
# another apt may hold the lock (an unattended upgrade): wait for it
apt() { apt-get -o DPkg::Lock::Timeout=300 -qq "$@"; }
get() { apt install -y --no-install-recommends "$@"; }
apt update
if [ "$1" = postgresql ]; then
  get postgresql-common
  cp -p "$cluster" "$cluster.lethe-saved"
  echo 'create_main_cluster = false' >>"$cluster"
fi
get "$@"
`

/** Resolves with what it printed, whether or not it could. */
async function aptInstall(packages: string): Promise<string> {
  const child = spawn(
    'flock',
    ['/run/lock/lethe-test-install', 'sh', '-c', script, 'sh', ...packages.split(' ')],
    {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  await new Promise((resolve) => {
    child.once('close', resolve)
    child.once('error', resolve)
  })
  return output
}

async function exists(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  )
}
