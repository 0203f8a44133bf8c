/**
 * Finds a server's program; installs it where that can be done (root on Debian), and upgrades a PostgreSQL that lacks
 * security fixes; otherwise says exactly what to install.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir, readdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { missedRelease, parseVersion } from './postgres-versions.ts'

const postgresRoot = '/usr/lib/postgresql'

/** Path of `program`; `packages` are Debian's, with a space between them. Throws an error naming what to install. */
export async function findProgram(program: string, packages: string): Promise<string> {
  return (await locate(program)) ?? (await install(program, packages))
}

/**
 * `program`, a `postgres`, is at its fixed minor release afterwards: an older one is upgraded. A running server keeps what
 * it has loaded. Throws an error that says what to do where it can't be upgraded.
 */
export async function upgradePostgres(program: string): Promise<void> {
  const { version, missed } = await releaseOf(program)
  if (missed === null) return
  const lacking = `PostgreSQL ${version} (${program}) lacks security fixes: ${missed} has them`
  const major = /^\/usr\/lib\/postgresql\/(\d+)\/bin\/postgres$/.exec(program)?.[1]
  if (major === undefined)
    throw new Error(`${lacking}. It isn't Debian's: upgrade it the way it was installed.`)
  const packages = [`postgresql-${major}`, `postgresql-client-${major}`, 'libpq5']
  if (!(await canInstall()))
    throw new Error(
      `${lacking}. As root: apt-get update && apt-get install --only-upgrade ${packages.join(' ')}; or see test/support/servers.ts for other ways.`,
    )
  process.stderr.write(`upgrading PostgreSQL ${version} to ${missed} or newer\n`)
  const { output } = await runLocked(upgradeScript, packages)
  const after = await releaseOf(program)
  if (after.missed !== null)
    throw new Error(
      `${lacking}, and apt-get left it at ${after.version}: no source of packages that it knows has a newer one, or it failed. It said: ${output.slice(-1000)}`,
    )
}

async function releaseOf(program: string): Promise<{ version: string; missed: string | null }> {
  const { ok, output } = await run(program, ['--version'])
  if (!ok) throw new Error(`${program} does not start: ${output.slice(-1000)}`)
  const version = parseVersion(output)
  return { version: `${version.major}.${version.minor}`, missed: missedRelease(version) }
}

const environments = new URL('../../node_modules/.cache/lethe-test/', import.meta.url).pathname

/**
 * Path of the Python of a virtual environment that has `name` from PyPI in this version. It stays for the next run, until
 * the packages are installed anew. Throws an error with what pip said.
 */
export async function findPythonPackage(name: string, version: string): Promise<string> {
  const folder = join(environments, `${name}-${version}`)
  const python = join(folder, 'bin', 'python')
  if (await exists(python, constants.X_OK)) return python
  const system = await findProgram('python3', 'python3 python3-venv')
  if (!(await run(system, ['-c', 'import ensurepip, venv'])).ok) await install('python3', 'python3-venv')
  await mkdir(environments, { recursive: true })
  process.stderr.write(`installing ${name} ${version} from PyPI\n`)
  const lock = join(environments, 'lock')
  const given = [system, folder, `${name}==${version}`]
  const made = await run('flock', [lock, 'sh', '-c', environmentScript, 'sh', ...given])
  if (!made.ok)
    throw new Error(
      `${name} could not be installed: python3 with venv and a way to PyPI are needed. It said: ${made.output.slice(-1000)}`,
    )
  return python
}

/** Takes its name only when it is whole; whoever waited for the lock finds it there. Its programs are run by `-m`. */
const environmentScript = `
set -eu
[ ! -x "$2/bin/python" ] || exit 0
rm -rf "$2.part"
"$1" -m venv "$2.part"
"$2.part/bin/python" -m pip install --quiet --disable-pip-version-check "$3"
mv "$2.part" "$2"
`

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
  if (!(await canInstall())) throw new Error(advice)
  process.stderr.write(`installing ${packages}\n`)
  const { output } = await runLocked(installScript, packages.split(' '))
  const found = await locate(program)
  if (found === undefined) throw new Error(`${advice} apt-get said: ${output.slice(-1000)}`)
  return found
}

async function canInstall(): Promise<boolean> {
  return process.getuid?.() === 0 && (await exists('/usr/bin/apt-get', constants.X_OK))
}

async function runLocked(script: string, args: readonly string[]): Promise<{ ok: boolean; output: string }> {
  return run('flock', ['/run/lock/lethe-test-install', 'sh', '-c', script, 'sh', ...args])
}

/**
 * One shell script under one lock, in its own session: it finishes and puts back what it changed even when this process
 * is killed half-way, and two test files that both miss a server wait for each other. Debian would start a service as it
 * installs it and make a cluster of its own: a start policy and createcluster.conf say no for the time of the installation.
 */
const prepared = `
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
`

const installScript = `${prepared}
if [ "$1" = postgresql ]; then
  get postgresql-common
  cp -p "$cluster" "$cluster.lethe-saved"
  echo 'create_main_cluster = false' >>"$cluster"
fi
get "$@"
`

/** What is not installed stays so. */
const upgradeScript = `${prepared}
get --only-upgrade "$@"
`

/** In its own session, so that it ends what it began when we don't. Resolves whether or not it could. */
async function run(command: string, args: readonly string[]): Promise<{ ok: boolean; output: string }> {
  const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const ok = await new Promise<boolean>((resolve) => {
    child.once('close', (code) => resolve(code === 0))
    child.once('error', () => resolve(false))
  })
  return { ok, output }
}

async function exists(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  )
}
