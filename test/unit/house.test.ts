/** The layout's rules that the linter can't say: each reads the source as it stands. */
import { readFileSync, readdirSync, existsSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = new URL('../..', import.meta.url).pathname
const sources = ['workers', 'jobs', 'lib'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name)),
)

interface Import {
  from: string
  /** Path from the root for a relative import, the specifier for a package. */
  to: string
}

const imports: Import[] = sources.flatMap((file) =>
  [...readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
    ([, specifier = '']) => ({
      from: file,
      to: specifier.startsWith('.')
        ? relative(root, normalize(join(root, dirname(file), specifier)))
        : specifier,
    }),
  ),
)

describe('the house', () => {
  it('imports run downwards only: workers, jobs, lib', () => {
    const rank = (path: string) => ['lib', 'jobs', 'workers'].indexOf(path.split('/')[0] ?? '')
    expect(imports.filter(({ from, to }) => rank(to) > rank(from)).map(show)).toEqual([])
    expect(imports.filter(({ to }) => /^(test|examples)\//.test(to)).map(show)).toEqual([])
  })

  it('a folder of lib is entered through its index.ts only', () => {
    const inside = (path: string) => path.split('/').slice(0, 2).join('/')
    const crossing = imports.filter(({ from, to }) => to.startsWith('lib/') && inside(from) !== inside(to))
    expect(
      crossing.filter(({ to }) => to.split('/').length !== 3 || !to.endsWith('/index.ts')).map(show),
    ).toEqual([])
  })

  it('a job knows no other job, and jobs know no transport and no HTTP', () => {
    const folder = (path: string) => path.split('/')[1] ?? ''
    const between = imports.filter(
      ({ from, to }) =>
        /^jobs\/[^/]+\//.test(from) && /^jobs\/[^/]+\//.test(to) && folder(from) !== folder(to),
    )
    expect(between.map(show)).toEqual([])
    expect(
      imports
        .filter(({ from, to }) => from.startsWith('jobs/') && /^(bullmq|ioredis|node:http)/.test(to))
        .map(show),
    ).toEqual([])
  })

  it.each([
    [/^bullmq$/, /^lib\/queue\//],
    [/^ioredis$/, /^lib\/(queue|erasers\/stores\/redis)\//],
    [/^node-cron$/, /^workers\/dispatcher\.ts$/],
    [/^croner$/, /^lib\/schedule\//],
    [/^prom-client$/, /^lib\/metrics\//],
    [/^nodemailer$/, /^lib\/notify\//],
    [/^jose$/, /^lib\/identity\//],
    [/^commander$/, /^workers\/cli/],
    [/^@aws-sdk\/client-kms$/, /^lib\/erasers\/stores\/keys\//],
    [/^@supabase\//, /^lib\/erasers\/processors\/supabase\//],
    [/^@sendgrid\//, /^lib\/erasers\/processors\/sendgrid\//],
    [/^stripe$/, /^lib\/erasers\/processors\/stripe\//],
    [/^@aws-sdk\//, /^lib\/(bucket|erasers|vault|snapshots)\//],
    [/^@aws-sdk\/client-dynamodb$/, /^lib\/erasers\/stores\/dynamodb\//],
    [/^@aws-sdk\/client-s3$/, /^lib\/(bucket|snapshots|erasers\/stores\/s3)\//],
    [/^@aws-sdk\/client-cloudfront$/, /^lib\/erasers\/processors\/cloudfront\//],
    [/^cloudflare(\/|$)/, /^lib\/erasers\/processors\/cloudflare\//],
  ])('%s is imported only in %s', (what, where) => {
    expect(imports.filter(({ from, to }) => what.test(to) && !where.test(from)).map(show)).toEqual([])
  })

  it('time and randomness come from lib/clock', () => {
    const found = sources
      .filter((file) => !file.startsWith('lib/clock/'))
      .filter((file) =>
        /Date\.now\(|new Date\(\)|Math\.random\(|performance\.now\(|randomUUID\(/.test(
          readFileSync(join(root, file), 'utf8'),
        ),
      )
    expect(found).toEqual([])
  })

  it('no business rule and no SQL stands in workers', () => {
    const found = sources
      .filter((file) => file.startsWith('workers/'))
      .filter((file) => /`\s*(SELECT|INSERT|UPDATE|DELETE)\b/.test(readFileSync(join(root, file), 'utf8')))
    expect(found).toEqual([])
  })

  it('a file stays under 400 lines and every folder of lib has a public file', () => {
    expect(sources.filter((file) => readFileSync(join(root, file), 'utf8').split('\n').length > 400)).toEqual(
      [],
    )
    const folders = readdirSync(join(root, 'lib'), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    )
    expect(
      folders.filter(({ name }) => !existsSync(join(root, 'lib', name, 'index.ts'))).map(({ name }) => name),
    ).toEqual([])
    expect(sources.filter((file) => /\/(utils?|helpers?|common|misc)(\.ts|\/)/.test(file))).toEqual([])
  })

  it('the top level holds what was agreed and nothing else', () => {
    const agreed = ['workers', 'jobs', 'lib', 'runbooks', 'test', 'examples']
    const usual =
      /^(package(-lock)?\.json|tsconfig(\.build)?\.json|Dockerfile|docker-compose\.yml|vitest\.config\.ts|README\.md|CHANGELOG\.md|SECURITY\.md|CONTRIBUTING\.md|LICENSE|\..+)$/
    const artefacts = new Set(['node_modules', 'dist', 'coverage'])
    const found = readdirSync(root).filter(
      (name) => !agreed.includes(name) && !usual.test(name) && !artefacts.has(name),
    )
    expect(found).toEqual([])
  })
})

function show({ from, to }: Import): string {
  return `${from} imports ${to}`
}
