/**
 * OpenBao 2 and HashiCorp Vault 1: keys of the transit engine, secrets of the KV engine, version 2.
 * https://openbao.org/api-docs/secret/transit/ and https://openbao.org/api-docs/secret/kv/kv-v2/
 *
 * Needs the capabilities read, update (`config`) and delete on `MOUNT/keys/…`, or read and delete on `MOUNT/metadata/…`.
 */
import { z } from 'zod'
import { LetheError } from '../../../../base/errors/index.ts'
import { openbaoSession, type OpenbaoOptions, type OpenbaoSession } from '../../../../base/openbao/index.ts'
import { sameDepth, type KeyPlace, type Target } from './target.ts'
import { eachKey, type Found, type KeyBackend } from './backend.ts'

const errors = z.looseObject({ errors: z.array(z.string()) })
const mountAnswer = z.looseObject({
  data: z.looseObject({
    type: z.string(),
    options: z.looseObject({ version: z.string().optional() }).nullish(),
  }),
})

export function openbaoBackend(options: OpenbaoOptions): KeyBackend {
  const session = openbaoSession(options)
  return {
    store: options.store,
    capabilities: {
      bulk: 1000,
      ratePerMinute: null,
      reversible: false,
      verifiable: true,
      sideEffects: [
        'a transit key is made deletable before it is deleted; it stays so where the deletion is then refused',
        "snapshots and replicas of the vault's storage keep the key until they expire",
        'a key that was exported, or backed up in the clear, lives on with whoever has it',
        'data keys that the application holds in memory work until it lets them go',
        'the audit devices record the name of the key',
      ],
      irreversibleAfter: "the call; snapshots of the vault's storage keep the key until they expire",
      settleSeconds: 0,
      follows: 'OpenBao 2.7, HashiCorp Vault API v1',
    },
    faultOf: ({ engine, mount, key }) => {
      if (engine === undefined) return 'its engine must be said: transit or kv'
      if (mount !== undefined && !/^[\w.-]+(\/[\w.-]+)*$/.test(mount)) return 'its mount is no path'
      if (engine === 'transit' && key.includes('/')) return 'a transit key has no slash in its name'
      return key.startsWith('/') || key.endsWith('/') ? 'it begins or ends with a slash' : null
    },
    holds: (place, key) =>
      place.engine === 'transit'
        ? /^\w([\w.-]*\w)?$/.test(key)
        : sameDepth(place.key, key) &&
          key.split('/').every((part) => /^[^/%?#]+$/.test(part) && !/^\.+$/.test(part)),
    async ready(places, signal) {
      const mounts = new Map(places.map((place) => [`${place.engine} ${mountOf(place)}`, place]))
      for (const place of mounts.values()) await requireMount(session, place, signal)
    },
    read: (targets, signal) => eachKey(targets, signal, (target) => read(session, target, signal)),
    destroy: (targets, signal) => eachKey(targets, signal, (target) => destroy(session, target, signal)),
  }
}

/** Where nothing, or another version, is mounted, every key would be found missing. */
async function requireMount(session: OpenbaoSession, place: KeyPlace, signal: AbortSignal): Promise<void> {
  const { body } = await session.request(
    'read how an engine is mounted',
    { method: 'GET', path: `/v1/sys/internal/ui/mounts/${mountOf(place)}` },
    signal,
  )
  const found = mountAnswer.safeParse(body)
  const right =
    found.success &&
    found.data.data.type === place.engine &&
    (place.engine === 'transit' || found.data.data.options?.version === '2')
  if (right) return
  throw new LetheError('E_CONFIG', {
    message: `What is mounted for place ${place.name} in store ${session.store} is not ${place.engine === 'kv' ? 'a KV engine of version 2' : 'a transit engine'}.`,
    next: 'Name the right engine and mount for this place.',
    facts: { store: session.store, place: place.name },
  })
}

async function read(session: OpenbaoSession, target: Target, signal: AbortSignal): Promise<Found> {
  const { status, body } = await session.request(
    'read a key',
    { method: 'GET', path: pathOf(target), expects: [404] },
    signal,
  )
  if (status !== 404) return { is: 'present' }
  // A path that no engine serves is a 404 too, but says so.
  if (errors.safeParse(body).data?.errors.length === 0) return { is: 'absent' }
  throw session.refused('read a key', '404, which is not what it says of a missing key')
}

/** A 400 may mean that somebody else was faster: reading tells. */
async function destroy(session: OpenbaoSession, target: Target, signal: AbortSignal): Promise<Found> {
  const path = pathOf(target)
  const steps =
    target.place.engine === 'transit'
      ? ([
          ['allow the deletion of a key', 'POST', `${path}/config`, { deletion_allowed: true }],
          ['delete a key', 'DELETE', path, undefined],
        ] as const)
      : ([['delete a secret with all its versions', 'DELETE', path, undefined]] as const)
  for (const [what, method, path, body] of steps) {
    const request = { method, path, expects: [400, 404], ...(body === undefined ? {} : { body }) }
    const { status } = await session.request(what, request, signal)
    if (status < 400) continue
    const found = await read(session, target, signal)
    if (found.is === 'absent') return found
    throw session.refused(what, String(status))
  }
  return { is: 'absent' }
}

function pathOf({ place, key }: Target): string {
  const parts = key.split('/').map((part) => encodeURIComponent(part))
  return `/v1/${mountOf(place)}/${place.engine === 'transit' ? 'keys' : 'metadata'}/${parts.join('/')}`
}

function mountOf({ engine, mount }: KeyPlace): string {
  return mount ?? (engine === 'transit' ? 'transit' : 'secret')
}
