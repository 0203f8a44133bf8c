/** What no single key can know: whether the parts of the file fit together. Finds everything; throws nothing. */
import { otherStore } from '../data/datamap/index.ts'
import { LetheError } from '../base/errors/index.ts'
import { isTimeZone, parseCron } from '../base/schedule/index.ts'
import type { Problem } from './problem.ts'
import type { ConfigFile, PolicyEntry } from './schema.ts'

export function checkConfig(file: ConfigFile): Problem[] {
  return [
    ...checkErasure(file),
    ...checkStores(file),
    ...checkSubjects(file),
    ...checkTables(file),
    ...checkPolicies(file),
    ...checkIdentities(file),
    ...checkNotifications(file),
  ]
}

function checkStores(file: ConfigFile): Problem[] {
  return Object.entries(file.stores).flatMap(([name, store]) =>
    store.kind === 'postgres' ? checkZone(store.time_zone, ['stores', name, 'time_zone']) : [],
  )
}

function checkZone(zone: string | undefined, path: PropertyKey[]): Problem[] {
  return zone === undefined || isTimeZone(zone)
    ? []
    : [
        {
          path,
          message: `there is no time zone ${JSON.stringify(zone)}; use an IANA name such as Europe/Berlin`,
        },
      ]
}

function checkSubjects(file: ConfigFile): Problem[] {
  const byRoot = new Map<string, string>()
  return Object.entries(file.subjects).flatMap(([name, subject]) => {
    const path = ['subjects', name]
    const problems: Problem[] = []
    const root = `${subject.store}/${subject.root}`
    const other = byRoot.get(root)
    if (other !== undefined)
      problems.push({
        path: [...path, 'root'],
        message: `${subject.root} is already the root of subject ${other}; a row can be one data subject only`,
      })
    byRoot.set(root, name)
    problems.push(...checkPlace(file, subject.store, subject.root, [...path, 'store'], [...path, 'root']))
    problems.push(...checkOtherStores(file, subject, path))
    problems.push(...checkAccess(file, subject, path))
    problems.push(...checkTombstones(file, subject, path))
    return problems
  })
}

type Subject = ConfigFile['subjects'][string]

function checkOtherStores(file: ConfigFile, subject: Subject, path: PropertyKey[]): Problem[] {
  const seen = new Set<string>()
  return subject.other_stores.flatMap((entry, index) => {
    const at = [...path, 'other_stores', index]
    const { store, linked } = otherStore(entry)
    const kind = Object.hasOwn(file.stores, store) ? file.stores[store]?.kind : undefined
    const found: Problem[] = []
    if (kind === undefined) found.push({ path: at, message: `there is no store ${store}` })
    else if (store === subject.store) found.push({ path: at, message: `${store} is the subject's own store` })
    else if (seen.has(store)) found.push({ path: at, message: `${store} is named twice` })
    else if (kind === 'postgres' && linked === null)
      found.push({
        path: at,
        message: `${store} is a PostgreSQL store: say which subject its rows belong to, { store, subject, key }`,
      })
    else if (kind !== 'postgres' && linked !== null)
      found.push({
        path: at,
        message: `${store} is ${kind}: only a PostgreSQL store has subjects of its own`,
      })
    if (linked !== null && file.subjects[linked.subject]?.store !== store)
      found.push({
        path: [...at, 'subject'],
        message: `there is no subject ${linked.subject} in store ${store}`,
      })
    found.push(...checkOrigin(file, subject, store, at))
    seen.add(store)
    return found
  })
}

/** A cache is filled from a store that this subject's erasure empties; from a cache it could wait for itself. */
function checkOrigin(file: ConfigFile, subject: Subject, store: string, path: PropertyKey[]): Problem[] {
  const entry = Object.hasOwn(file.stores, store) ? file.stores[store] : undefined
  const origin = entry !== undefined && 'origin' in entry ? entry.origin : undefined
  if (origin === undefined) return []
  if (origin !== subject.store && !subject.other_stores.some((entry) => otherStore(entry).store === origin))
    return [{ path, message: `${store} is filled from ${origin}, which is not among other_stores` }]
  const kind = file.stores[origin]?.kind
  return kind === 'cloudfront' || kind === 'cloudflare'
    ? [{ path, message: `${store} is filled from ${origin}, which is a cache itself` }]
    : []
}

function checkAccess(file: ConfigFile, subject: Subject, path: PropertyKey[]): Problem[] {
  const others = new Set(subject.other_stores.map((entry) => otherStore(entry).store))
  const places = (['set', 'delete'] as const).flatMap((verb) =>
    subject.access[verb].flatMap(({ table }, index) =>
      isMapped(file, subject.store, table)
        ? []
        : [
            {
              path: [...path, 'access', verb, index, 'table'],
              message: `${table} is not in the map (tables.${subject.store})`,
            },
          ],
    ),
  )
  const stores = subject.access.stores.flatMap((store, index) => {
    const at = [...path, 'access', 'stores', index]
    if (!others.has(store)) return [{ path: at, message: `${store} is not among other_stores` }]
    return isRecipient(file, store)
      ? [{ path: at, message: `${store} is a recipient: it is told once the erasure can't be taken back` }]
      : []
  })
  return [...places, ...stores]
}

function checkTombstones(file: ConfigFile, subject: Subject, path: PropertyKey[]): Problem[] {
  return subject.tombstones.flatMap(({ table }, index) =>
    isMapped(file, subject.store, table)
      ? []
      : [
          {
            path: [...path, 'tombstones', index, 'table'],
            message: `${table} is not in the map (tables.${subject.store})`,
          },
        ],
  )
}

function isRecipient(file: ConfigFile, store: string): boolean {
  return Object.hasOwn(file.stores, store) && file.stores[store]?.kind === 'recipient'
}

/** The store exists and is a PostgreSQL one, and the table is in the map. */
function checkPlace(
  file: ConfigFile,
  store: string,
  table: string,
  storePath: PropertyKey[],
  tablePath: PropertyKey[],
): Problem[] {
  const entry = Object.hasOwn(file.stores, store) ? file.stores[store] : undefined
  if (entry === undefined) return [{ path: storePath, message: `there is no store ${store}` }]
  if (entry.kind !== 'postgres')
    return [
      { path: storePath, message: `store ${store} is ${entry.kind}; a table stands in a postgres store` },
    ]
  return isMapped(file, store, table)
    ? []
    : [{ path: tablePath, message: `${table} is not in the map (tables.${store})` }]
}

function isMapped(file: ConfigFile, store: string, table: string): boolean {
  const tables = Object.hasOwn(file.tables, store) ? file.tables[store] : undefined
  return tables !== undefined && Object.hasOwn(tables, table)
}

function checkTables(file: ConfigFile): Problem[] {
  return Object.entries(file.tables).flatMap(([store, tables]) => {
    if (!Object.hasOwn(file.stores, store))
      return [{ path: ['tables', store], message: `there is no store ${store}` }]
    return Object.entries(tables).flatMap(([table, entry]) => {
      const path = ['tables', store, table]
      return [
        ...checkColumns(entry.columns, [...path, 'columns']),
        ...entry.edges.flatMap((edge, index) => checkEdge(file, store, edge, [...path, 'edges', index])),
      ]
    })
  })
}

function checkColumns(columns: Readonly<Record<string, readonly string[]>>, path: PropertyKey[]): Problem[] {
  const seen = new Map<string, string>()
  return Object.entries(columns).flatMap(([category, names]) =>
    names.flatMap((column, index) => {
      const first = seen.get(column)
      seen.set(column, category)
      return first === undefined
        ? []
        : [
            {
              path: [...path, category, index],
              message: `column ${column} is listed twice (already under ${first})`,
            },
          ]
    }),
  )
}

type Edge = ConfigFile['tables'][string][string]['edges'][number]

function checkEdge(file: ConfigFile, store: string, edge: Edge, path: PropertyKey[]): Problem[] {
  const problems: Problem[] = []
  if (!isMapped(file, store, edge.to))
    problems.push({ path: [...path, 'to'], message: `${edge.to} is not in the map (tables.${store})` })
  if (edge.references !== undefined && edge.references.length !== edge.columns.length)
    problems.push({
      path: [...path, 'references'],
      message: `names ${edge.references.length} columns for ${edge.columns.length} pointing ones`,
    })
  if (typeof edge.then === 'object' && edge.then.repoint.length !== edge.columns.length)
    problems.push({
      path: [...path, 'then', 'repoint'],
      message: `gives ${edge.then.repoint.length} values for ${edge.columns.length} pointing columns`,
    })
  return problems
}

function checkPolicies(file: ConfigFile): Problem[] {
  return Object.entries(file.policies).flatMap(([name, policy]) => {
    const path = ['policies', name]
    return [
      ...checkPolicyTarget(file, policy, path),
      ...checkClock(policy, [...path, 'clock']),
      ...checkClamp(policy, [...path, 'clamp']),
      ...checkSchedule(policy, [...path, 'schedule']),
      ...checkWindow(policy, [...path, 'window']),
    ]
  })
}

/** A clock that reads no column says the same of every row: they would all fall due at once. */
function checkClock({ clock }: PolicyEntry, path: PropertyKey[]): Problem[] {
  return /\broot\b/i.test(clock)
    ? []
    : [{ path, message: 'reads no column of the row; name it as root.COLUMN' }]
}

function checkPolicyTarget(file: ConfigFile, policy: PolicyEntry, path: PropertyKey[]): Problem[] {
  if (policy.table !== undefined)
    return checkPlace(
      file,
      policy.table.store,
      policy.table.name,
      [...path, 'table', 'store'],
      [...path, 'table', 'name'],
    )
  const subject = Object.hasOwn(file.subjects, policy.subject ?? '')
    ? file.subjects[policy.subject ?? '']
    : undefined
  if (subject === undefined)
    return [{ path: [...path, 'subject'], message: `there is no subject ${policy.subject}` }]
  if (policy.when === 'inactive' && policy.warnings?.length !== 0 && subject.contact === undefined)
    return [
      {
        path: [...path, 'subject'],
        message: `an inactivity purge needs delivered warnings, so subject ${policy.subject} needs a contact`,
      },
    ]
  return []
}

function checkClamp(policy: PolicyEntry, path: PropertyKey[]): Problem[] {
  const { minimum, maximum } = policy.clamp
  if (minimum === undefined || maximum === undefined || days(minimum.period) <= days(maximum.period))
    return []
  return [{ path, message: `the minimum (${minimum.period}) is longer than the maximum (${maximum.period})` }]
}

/** Only for comparing two clamps; ages themselves are reckoned by PostgreSQL, in calendar units. */
function days(period: string): number {
  const [count, unit] = period.split(' ')
  const size = unit?.startsWith('year') ? 365.25 : unit?.startsWith('month') ? 30.44 : 1
  return Number(count) * size
}

function checkSchedule(policy: PolicyEntry, path: PropertyKey[]): Problem[] {
  const { schedule } = policy
  if (schedule === undefined) return []
  const zone = checkZone(schedule.time_zone, [...path, 'time_zone'])
  if (zone.length > 0) return zone
  try {
    parseCron(schedule.cron, schedule.time_zone, { validate: true })
    return []
  } catch (error) {
    if (!(error instanceof LetheError)) throw error
    return [{ path: [...path, 'cron'], message: `${error.message} ${error.next} (${error.code})` }]
  }
}

function checkWindow(policy: PolicyEntry, path: PropertyKey[]): Problem[] {
  const { window } = policy
  if (window === undefined) return []
  const same: Problem[] =
    window.from === window.to
      ? [{ path: [...path, 'to'], message: `a window from ${window.from} to ${window.to} never opens` }]
      : []
  return [...same, ...checkZone(window.time_zone, [...path, 'time_zone'])]
}

function checkErasure({ erasure, stores }: ConfigFile): Problem[] {
  return (['without', 'unverified', 'backups'] as const).flatMap((key) =>
    Object.keys(erasure[key])
      .filter((store) => !Object.hasOwn(stores, store))
      .map((store) => ({ path: ['erasure', key, store], message: `there is no store ${store}` })),
  )
}

function checkIdentities(file: ConfigFile): Problem[] {
  const owners = new Map<string, string>()
  return Object.entries(file.identities).flatMap(([name, identity]) => {
    const claims: [string, string, number][] = [
      // The comment behind a key is no part of it.
      ...identity.ssh_keys.map((key, index): [string, string, number] => [
        key.split(/\s+/).slice(0, 2).join(' '),
        'ssh_keys',
        index,
      ]),
      ...identity.oidc_subjects.map((subject, index): [string, string, number] => [
        subject,
        'oidc_subjects',
        index,
      ]),
    ]
    const problems = claims.flatMap(([claim, list, index]): Problem[] => {
      const owner = owners.get(claim)
      owners.set(claim, name)
      return owner === undefined
        ? []
        : [{ path: ['identities', name, list, index], message: `already belongs to identity ${owner}` }]
    })
    identity.ssh_keys.forEach((key, index) => {
      if (!isPublicKey(key))
        problems.push({
          path: ['identities', name, 'ssh_keys', index],
          message: 'is no OpenSSH public key: a type, and the same type within the base64 behind it',
        })
    })
    if (identity.oidc_subjects.length > 0 && file.oidc === undefined)
      problems.push({
        path: ['identities', name, 'oidc_subjects'],
        message: 'needs the key oidc: { issuer, audience }',
      })
    return problems
  })
}

/** The blob of a key begins with the length and the text of its type. */
function isPublicKey(line: string): boolean {
  const [type = '', blob = ''] = line.trim().split(/\s+/)
  const bytes = Buffer.from(blob, 'base64')
  const length = bytes.length > 4 ? bytes.readUInt32BE() : 0
  return bytes.subarray(4, 4 + length).toString('latin1') === type && bytes.length > 4 + length
}

function checkNotifications(file: ConfigFile): Problem[] {
  const { store } = file.notifications
  if (store !== undefined && !Object.hasOwn(file.stores, store))
    return [{ path: ['notifications', 'store'], message: `there is no store ${store}` }]
  if (store !== undefined && isRecipient(file, store))
    return [{ path: ['notifications', 'store'], message: `${store} is a recipient: nothing is erased there` }]
  const { channel } = file.notifications
  return channel === 'log' || file.notifications[channel] !== undefined
    ? []
    : [{ path: ['notifications', channel], message: `is missing, and the channel is ${channel}` }]
}
