/** What zod found, in words a person can act on. */
import { z } from 'zod'
import type { Problem } from '../base/settings/index.ts'
import { configJsonSchema } from './json-schema.ts'

type Issue = z.core.$ZodIssue

export function describeIssue(issue: Issue): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(issue.path)
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      message: `unknown key${moved([...issue.path, key], known) ?? suggestion(key, known)}`,
    }))
  }
  // A union reports each alternative; the one that got furthest is what the person meant.
  if (issue.code === 'invalid_union') {
    const [nearest] = [...issue.errors].sort((a, b) => depth(b) - depth(a))
    if (nearest !== undefined && depth(nearest) > 0)
      return nearest.flatMap((inner) => describeIssue({ ...inner, path: [...issue.path, ...inner.path] }))
  }
  // A record's key that doesn't fit its pattern carries the reason one level down.
  if (issue.code === 'invalid_key')
    return issue.issues.map((inner) => ({ path: issue.path, message: inner.message }))
  if (issue.code === 'invalid_type' && issue.input === undefined && issue.message.includes('undefined'))
    return [{ path: issue.path, message: `is missing (expected ${issue.expected})` }]
  return [{ path: issue.path, message: issue.message }]
}

function depth(issues: readonly Issue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length))
}

const node = z.looseObject({
  properties: z.record(z.string(), z.unknown()).optional(),
  additionalProperties: z.unknown().optional(),
  items: z.unknown().optional(),
  anyOf: z.array(z.unknown()).optional(),
  oneOf: z.array(z.unknown()).optional(),
  $ref: z.string().optional(),
})

/** The keys that stand at this path of the file, read from the published JSON Schema. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  const root = configJsonSchema()
  let here: unknown[] = [root]
  for (const key of path) here = here.flatMap((item) => children(item, key, root))
  return [
    ...new Set(
      here.flatMap((item) => shapes(item, root)).flatMap((item) => Object.keys(item.properties ?? {})),
    ),
  ]
}

function children(item: unknown, key: PropertyKey, root: unknown): unknown[] {
  return shapes(item, root).flatMap((shape) => {
    const property = shape.properties?.[String(key)]
    const found = typeof key === 'number' ? shape.items : (property ?? shape.additionalProperties)
    return typeof found === 'object' && found !== null ? [found] : []
  })
}

/** The node itself, or the alternatives it stands for. */
function shapes(item: unknown, root: unknown): z.infer<typeof node>[] {
  const parsed = node.safeParse(item)
  if (!parsed.success) return []
  const { $ref, anyOf, oneOf } = parsed.data
  if ($ref !== undefined) return resolve($ref, root)
  const alternatives = [...(anyOf ?? []), ...(oneOf ?? [])]
  return alternatives.length > 0 ? alternatives.flatMap((entry) => shapes(entry, root)) : [parsed.data]
}

function resolve(reference: string, root: unknown): z.infer<typeof node>[] {
  let here: unknown = root
  for (const part of reference.replace(/^#\/?/, '').split('/')) {
    const parsed = z.record(z.string(), z.unknown()).safeParse(here)
    here = parsed.success && part !== '' ? parsed.data[part] : here
  }
  return reference === '#' ? [] : shapes(here, root)
}

/** Names from before 0.1: where they went is further away than a slip of the pen. */
function moved(path: readonly PropertyKey[], known: readonly string[]): string | null {
  if (path.join('.') === 'evidence.bucket') return '; it is locked_bucket now, at the top of the file'
  const name = { access_key: 'access_key_id', secret_key: 'secret_access_key' }[String(path.at(-1))]
  return name !== undefined && known.includes(name) ? `; it is ${name} now` : null
}

/** `; did you mean "x"?` where one known key is close, else the list of what may stand there. */
function suggestion(key: string, known: readonly string[]): string {
  const [nearest] = known
    .map((candidate) => ({ candidate, distance: editDistance(key.toLowerCase(), candidate) }))
    .filter(({ candidate, distance }) => distance <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.distance - b.distance)
  if (nearest !== undefined) return `; did you mean "${nearest.candidate}"?`
  return known.length === 0 ? '' : `; known here: ${known.join(', ')}`
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
