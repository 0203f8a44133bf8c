/**
 * Reads lethe.yaml. Everything that is wrong with it is reported at once, with its path and line; addresses and secrets
 * are looked up when they are used, so that a command needs only those it works with.
 */
import { readFileSync } from 'node:fs'
import { LineCounter, parseDocument, type Document } from 'yaml'
import { canonicalHash } from '../base/canonical/index.ts'
import { LetheError } from '../base/errors/index.ts'
import type { Problem } from '../base/settings/index.ts'
import { checkConfig } from './check.ts'
import { describeIssue } from './issue.ts'
import type { PolicyEntry } from './policies.ts'
import { configSchema, type ConfigFile } from './schema.ts'
import { healthAddress, lookUp, postgresAddress, redisAddress, type Environment } from './secret.ts'

export type { Environment }

export interface ResolvedPolicy extends PolicyEntry {
  name: string
  /** As written, or the default: 30 days for soft-deleted, 7 years for inactive. */
  period: string
  /** Days before, longest first; as written, or 30, 7 and 1 for inactive, none otherwise. */
  warnings: number[]
  /** The store of the policy's subject or table. */
  store: string
}

export interface Config {
  readonly path: string
  readonly file: ConfigFile
  /** SHA-256 (hex) of the parsed file: comments and layout don't change it. */
  readonly version: string
  readonly policies: Readonly<Record<string, ResolvedPolicy>>
  /** Throws E_CONFIG_MISSING while LETHE_CONTROL_URL is not set, E_CONFIG where it is no address of a PostgreSQL. */
  readonly controlUrl: string
  /** Throws E_CONFIG_MISSING while LETHE_REDIS_URL is not set, E_CONFIG for an address with a key prefix. */
  readonly redisUrl: string
  /** LETHE_HEALTH_HOST and LETHE_HEALTH_PORT, else `operations`: processes of one file differ here. Throws E_CONFIG. */
  readonly health: { host: string; port: number }
  /** `operations.keystore`, else LETHE_KEYSTORE. Throws E_CONFIG_MISSING. */
  readonly keystorePath: string
  /** The address of a PostgreSQL store. Throws E_CONFIG_MISSING, E_NOT_FOUND. */
  storeUrl(store: string): string
  /** What `env:NAME` or `file:/path` stands for. Throws E_CONFIG_MISSING. */
  secret(reference: string): string
}

/** Throws E_CONFIG_MISSING where the file isn't there, E_CONFIG with every problem otherwise. */
export function loadConfig(path: string, env: Environment): Config {
  const file = parseFile(path, readText(path))
  return {
    path,
    file,
    version: canonicalHash(file),
    policies: resolvePolicies(file),
    get controlUrl() {
      return postgresAddress(
        lookUp('env:LETHE_CONTROL_URL', env, 'the address of the control database'),
        'LETHE_CONTROL_URL',
      )
    },
    get redisUrl() {
      return redisAddress(lookUp('env:LETHE_REDIS_URL', env, 'the address of Redis'))
    },
    get keystorePath() {
      return file.operations.keystore ?? lookUp('env:LETHE_KEYSTORE', env, 'the file of the keystore')
    },
    get health() {
      const { health_host: host, health_port: port } = file.operations
      return healthAddress(env, { host, port })
    },
    storeUrl(name) {
      const store = Object.hasOwn(file.stores, name) ? file.stores[name] : undefined
      if (store?.kind !== 'postgres')
        throw new LetheError('E_NOT_FOUND', { message: `${path}: there is no PostgreSQL store ${name}.` })
      return postgresAddress(lookUp(store.url, env, `the address of store ${name}`), `stores.${name}.url`)
    },
    secret: (reference) => lookUp(reference, env, 'a secret that the configuration names'),
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw new LetheError('E_CONFIG_MISSING', {
      message: `The configuration ${path} can't be read (${code}).`,
      next: 'Set LETHE_CONFIG to the file, or start in the folder that holds lethe.yaml.',
    })
  }
}

function parseFile(path: string, text: string): ConfigFile {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  if (document.errors.length > 0)
    throw failure(
      path,
      document.errors.map((error) => `line ${lines.linePos(error.pos[0]).line}: ${error.message}`),
    )
  const input = toValue(path, document)
  const parsed = configSchema.safeParse(input)
  const problems = parsed.success ? checkConfig(parsed.data) : parsed.error.issues.flatMap(describeIssue)
  if (!parsed.success || problems.length > 0)
    throw failure(
      path,
      problems.map((problem) => withPlace(problem, document, lines)),
    )
  return parsed.data
}

/** Anchors are followed only now; a hundred uses at most, since a few nested ones could fill the memory. */
function toValue(path: string, document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    if (error instanceof ReferenceError) throw failure(path, [error.message])
    throw error
  }
}

function withPlace(problem: Problem, document: Document, lines: LineCounter): string {
  const name = problem.path.map(String).join('.') || '(the file)'
  const line = lineOf(problem.path, document, lines)
  return `${line === null ? '' : `line ${line}: `}${name}: ${problem.message}`
}

/** The line of the nearest ancestor that is in the file: a missing key has none of its own. */
function lineOf(path: readonly PropertyKey[], document: Document, lines: LineCounter): number | null {
  for (let length = path.length; length > 0; length -= 1) {
    const node: unknown = document.getIn(path.slice(0, length).map(keyOf), true)
    if (typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)) {
      const start: unknown = node.range[0]
      if (typeof start === 'number') return lines.linePos(start).line
    }
  }
  return null
}

function keyOf(key: PropertyKey): string | number {
  return typeof key === 'number' ? key : String(key)
}

function failure(path: string, problems: readonly string[]): LetheError {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`
  return new LetheError('E_CONFIG', {
    message: `${path} has ${count}:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
    facts: { problems: [...problems] },
  })
}

function resolvePolicies(file: ConfigFile): Record<string, ResolvedPolicy> {
  return Object.fromEntries(
    Object.entries(file.policies).map(([name, entry]) => [name, resolvePolicy(file, name, entry)]),
  )
}

function resolvePolicy(file: ConfigFile, name: string, entry: PolicyEntry): ResolvedPolicy {
  const warnings = entry.warnings ?? (entry.when === 'inactive' ? [30, 7, 1] : [])
  return {
    ...entry,
    name,
    period: entry.period ?? (entry.when === 'inactive' ? '7 years' : '30 days'),
    warnings: [...new Set(warnings)].sort((a, b) => b - a),
    store: entry.table?.store ?? file.subjects[entry.subject ?? '']?.store ?? '',
  }
}

/**
 * SHA-256 (hex) of everything that decides what the policy destroys and who must agree. When it runs and how fast is not
 * part of it: changing the schedule, the window or the throttle doesn't disarm a policy.
 */
export function policyVersion(policy: ResolvedPolicy): string {
  const {
    schedule: _schedule,
    window: _window,
    throttle: _throttle,
    proposal_days: _days,
    store: _store,
    ...decisive
  } = policy
  return canonicalHash(decisive)
}
