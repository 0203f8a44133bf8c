/** The first `npm run` in a fresh clone, alone and beside another, and on a Node that `engines` doesn't admit. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { makeFolder } from '../../support/servers/process.ts'

const bootstrap = new URL('../../support/bootstrap.mjs', import.meta.url).pathname
let folder: string
const own = { name: 'clone', version: '1.0.0', dependencies: { dep: 'file:dep' } }
beforeEach(() => {
  folder = makeFolder('bootstrap')
  for (const name of ['test/support', 'dep']) mkdirSync(join(folder, name), { recursive: true })
  cpSync(bootstrap, join(folder, 'test/support/bootstrap.mjs'))
  const dep = { name: 'dep', version: '1.0.0' }
  admit(`^${process.versions.node}`)
  write('dep/package.json', { ...dep, main: 'index.js' })
  writeFileSync(join(folder, 'dep/index.js'), `module.exports = 'the dependency answers'`)
  write('package-lock.json', {
    ...own,
    lockfileVersion: 3,
    requires: true,
    packages: { '': own, dep, 'node_modules/dep': { resolved: 'dep', link: true } },
  })
  writeFileSync(join(folder, 'script.mjs'), `import dep from 'dep'; console.log(dep)`)
})

function admit(node: string) {
  write('package.json', { ...own, engines: { node } })
}

function write(name: string, value: unknown) {
  writeFileSync(join(folder, name), JSON.stringify(value))
}

async function run() {
  const child = spawn(process.execPath, ['test/support/bootstrap.mjs', 'script.mjs'], { cwd: folder })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code] = await once(child, 'close')
  return { code: Number(code), output }
}

test('two at once install once, and both run', async () => {
  const both = await Promise.all([run(), run()])
  expect(both.map(({ code }) => code)).toEqual([0, 0])
  for (const { output } of both) expect(output).toContain('the dependency answers')
  expect(both.filter(({ output }) => output.includes('installing')).length).toBe(1)
  expect((await run()).output).toBe('the dependency answers\n')
})

test('an installation that was broken off is made anew, although it looks finished', async () => {
  await run()
  unlinkSync(join(folder, 'node_modules/dep'))
  expect(existsSync(join(folder, 'node_modules/.package-lock.json'))).toBe(true)
  const { code, output } = await run()
  expect(code).toBe(0)
  expect(output).toMatch(/^installing the packages[^]*the dependency answers\n$/)
})

const [major, minor, patch] = process.versions.node.split('.').map(Number) as [number, number, number]

test.each([`^22.1.0 || ^${major}.${minor}.0 || ^99.0.0`, `^${major}.${minor - 1}.${patch + 1}`])(
  'a Node runs the script where engines are %s',
  async (node) => {
    admit(node)
    expect(await run()).toMatchObject({ code: 0 })
  },
)

test.each([
  `^22.1.0 || ^${major}.${minor}.${patch + 1} || ^99.0.0`,
  `^${major}.${minor + 1}.0`,
  `^${major - 2}.0.0 || ^${major + 2}.0.0`,
])('a Node runs nothing where engines are %s, and says what to install', async (node) => {
  admit(node)
  const { code, output } = await run()
  expect(code).toBe(1)
  expect(output).toContain(`install one of ${node}`)
  expect(output).not.toContain('the dependency answers')
})
