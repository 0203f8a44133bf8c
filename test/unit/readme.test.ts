/** What the pages of the repository link to is there, with the heading that an anchor names. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'

const root = new URL('../..', import.meta.url).pathname
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'runbooks'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('runbooks', name)),
]
const read = (path: string) => readFileSync(join(root, path), 'utf8')

it.each(pages)('%s: every relative link leads somewhere', (page) => {
  const links = [...withoutCode(read(page)).matchAll(/\]\(<?([^)\s>]+)>?\)/g)].map(
    ([, target = '']) => target,
  )
  expect(links.filter((link) => !/^[a-z]+:/.test(link) && !resolves(page, link))).toEqual([])
})

it.each(pages)('%s: every file of the repository that it names in code is there', (page) => {
  const named = [...read(page).matchAll(/`((?:lib|jobs|workers|runbooks|examples|test)\/[\w./-]*)`/g)]
  expect(named.map(([, path = '']) => path).filter((path) => !existsSync(join(root, path)))).toEqual([])
})

it('the README leads to the runbook of errors and to that of the worst night', () => {
  const readme = read('README.md')
  for (const page of ['runbooks/errors.md', 'runbooks/wrong-deletion.md'])
    expect(readme).toContain(`(${page})`)
})

function resolves(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? page : join(dirname(page), path)
  if (!existsSync(join(root, target))) return false
  return anchor === undefined || (target.endsWith('.md') && anchorsOf(read(target)).includes(anchor))
}

/** As GitHub makes them: lower case, without punctuation, spaces to hyphens. */
function anchorsOf(markdown: string): string[] {
  return [...withoutCode(markdown).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

function withoutCode(markdown: string): string {
  return markdown.replaceAll(/^```[\s\S]*?^```/gm, '')
}
