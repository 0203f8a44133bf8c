/** Finds a server's program; installs it where that can be done (root on Debian); otherwise says exactly what to install. */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, readdir, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const postgresRoot = '/usr/lib/postgresql'
const startPolicy = '/usr/sbin/policy-rc.d'

/** Path of `program`; `packageName` is Debian's. Throws an error naming what to install. */
export async function findProgram(program: string, packageName: string): Promise<string> {
  return (await locate(program)) ?? (await install(program, packageName))
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
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path
  }
  return undefined
}

let installing: Promise<unknown> = Promise.resolve()

async function install(program: string, packageName: string): Promise<string> {
  const advice = `${program} is missing: install Debian's package ${packageName} (apt-get install ${packageName}), start a Docker engine, or give an address in the environment (see test/support/servers.ts).`
  const debian = await access('/etc/debian_version').then(
    () => true,
    () => false,
  )
  if (process.getuid?.() !== 0 || !debian) throw new Error(advice)
  installing = installing.then(() => aptInstall(packageName))
  await installing
  const found = await locate(program)
  if (found === undefined) throw new Error(advice)
  return found
}

/** Debian starts a service as it installs it; a start policy says no for the time of the installation. */
async function aptInstall(packageName: string): Promise<void> {
  process.stderr.write(`installing ${packageName}\n`)
  const ours = await writeFile(startPolicy, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' }).then(
    () => true,
    () => false,
  )
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // another apt may hold the lock (a second test file, an unattended upgrade): wait for it
  const wait = ['-o', 'DPkg::Lock::Timeout=300']
  try {
    await run('apt-get', [...wait, 'update', '-qq'], { env, maxBuffer: 1 << 26 })
    await run('apt-get', [...wait, 'install', '-y', '-qq', '--no-install-recommends', packageName], {
      env,
      maxBuffer: 1 << 26,
    })
  } finally {
    if (ours) await rm(startPolicy, { force: true })
  }
}
