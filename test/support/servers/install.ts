/**
 * Finds a server's program; installs it where that can be done (root on Debian), and upgrades a PostgreSQL that lacks
 * security fixes; otherwise says exactly what to install.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, chmod, mkdir, readdir } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
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
      `${lacking}. As root: apt-get update && apt-get install --only-upgrade ${packages.join(' ')}; or see test/support/servers/servers.ts for other ways.`,
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

/** Debian's `postgres` of this major version where it is installed. */
export async function installedPostgres(major: number): Promise<string | undefined> {
  const program = join(postgresRoot, String(major), 'bin', 'postgres')
  return (await exists(program, constants.X_OK)) ? program : undefined
}

const cache = new URL('../../../node_modules/.cache/lethe-test/', import.meta.url).pathname

/** Where server programs go. Root starts them as another user, to whom the folder of this clone may be closed. */
export const serverCache = process.getuid?.() === 0 ? '/var/cache/lethe-test/' : cache

/**
 * Path of the Python of a virtual environment that has `name` from PyPI in this version. It stays for the next run, until
 * the packages are installed anew. Throws an error with what pip said.
 */
export async function findPythonPackage(name: string, version: string, parent = cache): Promise<string> {
  const folder = join(parent, `${name}-${version}`)
  const python = join(folder, 'bin', 'python')
  if (await exists(python, constants.X_OK)) return python
  const system = await findProgram('python3', 'python3 python3-venv')
  if (!(await run(system, ['-c', 'import ensurepip, venv'])).ok) await install('python3', 'python3-venv')
  process.stderr.write(`installing ${name} ${version} from PyPI\n`)
  const made = await make(folder, pythonScript, [system, `${name}==${version}`])
  if (!made.ok)
    throw new Error(
      `${name} could not be installed: python3 with venv and a way to PyPI are needed. It said: ${made.output.slice(-1000)}`,
    )
  return python
}

/**
 * Folder of the package `name` from npm in this version, apart from this project's own packages, with the links between
 * its libraries that npm doesn't carry. It stays for the next run. Throws an error with what npm said.
 */
export async function findNpmPackage(name: string, version: string, parent = cache): Promise<string> {
  const folder = join(parent, `${name.replace('/', '-')}-${version}`)
  const found = join(folder, 'node_modules', name)
  if (await exists(found, constants.X_OK)) return found
  process.stderr.write(`installing ${name} ${version} from npm\n`)
  const made = await make(folder, npmScript, [name, version, process.execPath])
  if (!made.ok)
    throw new Error(
      `${name} could not be installed: npm and a way to its registry are needed. It said: ${made.output.slice(-1000)}`,
    )
  return found
}

/**
 * Runs a script that makes `folder` under one lock. The folder takes its name only when it is whole; whoever waited for
 * the lock finds it there. The script gets the name it has until then as `$1`.
 */
async function make(folder: string, script: string, args: readonly string[]) {
  const parent = dirname(folder)
  await mkdir(parent, { recursive: true })
  await chmod(parent, 0o755)
  const whole = `set -eu; umask 022; whole=$1; shift; [ ! -e "$whole" ] || exit 0; rm -rf "$1"\n${script}\nmv "$1" "$whole"`
  const given = [folder, `${folder}.part`, ...args]
  return run('flock', [join(parent, 'lock'), 'sh', '-c', whole, 'sh', ...given])
}

/** Programs of the environment are run by `-m`: their first lines have its former name. */
const pythonScript = `
"$2" -m venv "$1"
"$1/bin/python" -m pip install --quiet --disable-pip-version-check "$3"
`

const npmScript = `
npm install --prefix "$1" --ignore-scripts --no-audit --no-fund --loglevel=error "$2@$3"
(cd "$1/node_modules/$2" && [ ! -e scripts/hydrate-symlinks.js ] || "$4" scripts/hydrate-symlinks.js)
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
  const advice = `${program} is missing: install it from Debian (apt-get install ${packages}), or see test/support/servers/servers.ts for other ways (a Docker engine, an address in the environment).`
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
case "$1" in postgresql | postgresql-[0-9]*)
  get postgresql-common
  cp -p "$cluster" "$cluster.lethe-saved"
  echo 'create_main_cluster = false' >>"$cluster"
esac
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
