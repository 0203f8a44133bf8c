/**
 * AWS KMS: a key is given a date on which it is destroyed, 7 to 30 days away; until then nothing can be decrypted with it,
 * and whoever may cancel the deletion can bring it back. https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
 *
 * Needs the rights kms:DescribeKey, kms:ScheduleKeyDeletion and, for a place with an alias, kms:ListAliases.
 */
import {
  DescribeKeyCommand,
  KMSClient,
  KMSServiceException,
  ListAliasesCommand,
  ScheduleKeyDeletionCommand,
  type KeyMetadata,
} from '@aws-sdk/client-kms'
import { LetheError } from '../../../../base/errors/index.ts'
import { Answered, type Side, callVendor } from '../../../../base/calls/index.ts'
import { sameDepth, type Target } from './target.ts'
import { eachKey, type Found, type KeyBackend } from './backend.ts'

export interface KmsOptions extends Pick<Side, 'store' | 'pace' | 'patience'> {
  region: string
  /** Of a server that isn't AWS's. */
  endpoint?: string
  /** Absent: the SDK's own chain (environment, profile, instance role). */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }
  /** Days until a key is destroyed, 7 to 30. */
  waitingDays: number
}

type Send = <T>(
  what: string,
  signal: AbortSignal,
  call: (client: KMSClient, options: { abortSignal: AbortSignal }) => Promise<T>,
) => Promise<T | null>

/** Throws E_CONFIG where the waiting period is none that KMS takes. */
export function kmsBackend(options: KmsOptions): KeyBackend {
  const { store, waitingDays } = options
  if (!Number.isInteger(waitingDays) || waitingDays < 7 || waitingDays > 30)
    throw new LetheError('E_CONFIG', { message: `The waiting period of store ${store} is not 7 to 30 days.` })
  const send = sender(options)
  return {
    store,
    capabilities: {
      bulk: 1000,
      // ScheduleKeyDeletion: 15 a second, shared by the whole account and region.
      ratePerMinute: 900,
      reversible: true,
      verifiable: true,
      sideEffects: [
        'the key stops working at once, for whoever else uses it too',
        `until its date, ${waitingDays} days after the call, whoever may cancel the deletion can bring the key back`,
        'data keys that the application holds in the clear work until it lets them go',
        'imported key material lives on with whoever imported it, an external key with its own manager',
        'CloudTrail records the id of the key',
      ],
      irreversibleAfter: `${waitingDays} days after the call, when the waiting period ends`,
      settleSeconds: 30,
      follows: 'AWS KMS 2014-11-01',
    },
    faultOf: ({ engine, mount, key }) => {
      if (engine !== undefined || mount !== undefined) return 'KMS has no engine and no mount'
      if (key.startsWith('alias/aws/')) return 'these are keys of AWS'
      return /^(alias\/|arn:|mrk-|\{)/.test(key) ? null : 'it is neither alias/… nor an id of a key'
    },
    holds: (place, key) =>
      place.key.startsWith('alias/')
        ? /^alias\/[\w/-]{1,250}$/.test(key) && sameDepth(place.key, key)
        : /^(arn:[\w-]+:kms:[\w-]+:\d+:key\/)?(mrk-)?[\da-f-]{32,36}$/.test(key),
    async ready(_places, signal) {
      // A key that can't be: what counts is that we are known and may ask.
      await describe(send, '00000000-0000-0000-0000-000000000000', signal)
    },
    read: (targets, signal) =>
      eachKey(targets, signal, async ({ key }) => foundIn(await describe(send, key, signal))),
    destroy: (targets, signal) =>
      eachKey(targets, signal, (target) => destroy(send, options, target, targets, signal)),
  }
}

async function describe(send: Send, KeyId: string, signal: AbortSignal): Promise<KeyMetadata | null> {
  const answer = await send('read a key', signal, (client, options) =>
    client.send(new DescribeKeyCommand({ KeyId }), options),
  )
  return answer?.KeyMetadata ?? null
}

function foundIn(key: KeyMetadata | null): Found {
  if (key === null) return { is: 'absent' }
  // A primary key whose replicas are still there is "PendingReplicaDeletion", without a date: it is not on its way.
  return key.KeyState === 'PendingDeletion' && key.DeletionDate !== undefined
    ? waiting(key.DeletionDate)
    : { is: 'present' }
}

async function destroy(
  send: Send,
  { store, waitingDays }: KmsOptions,
  target: Target,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<Found> {
  const key = await describe(send, target.key, signal)
  const found = foundIn(key)
  if (key === null || found.is !== 'present') return found
  const KeyId = key.Arn ?? key.KeyId ?? target.key
  const own = targets.filter(({ subject }) => subject === target.subject)
  const fault = (await othersUse(send, KeyId, target, own, signal))
    ? 'another alias leads to the same key'
    : faultOfKey(key)
  if (fault !== null)
    throw new LetheError('E_STORE_REFUSED', {
      message: `AWS KMS (${store}) was not asked to destroy a key: ${fault}.`,
      next: 'Look at the key: it may be somebody else’s, too.',
      facts: { store },
    })
  const answer = await send('schedule the deletion of a key', signal, (client, options) =>
    client.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: waitingDays }), options),
  )
  if (answer === null) return { is: 'absent' }
  return answer.DeletionDate === undefined ? { is: 'present' } : waiting(answer.DeletionDate)
}

function faultOfKey({ KeyManager, MultiRegionConfiguration }: KeyMetadata): string | null {
  if (KeyManager === 'AWS') return 'it is a key of AWS'
  const replicas = MultiRegionConfiguration?.ReplicaKeys ?? []
  if (MultiRegionConfiguration?.MultiRegionKeyType === 'PRIMARY' && replicas.length > 0)
    return 'its replicas in other regions must go first'
  return null
}

/** An alias says nothing of whom else the key serves; a second one does. */
async function othersUse(
  send: Send,
  KeyId: string,
  target: Target,
  own: readonly Target[],
  signal: AbortSignal,
): Promise<boolean> {
  if (!target.place.key.startsWith('alias/')) return false
  let Marker: string | undefined
  do {
    const page = await send('list the aliases of a key', signal, (client, options) =>
      client.send(new ListAliasesCommand({ KeyId, ...(Marker === undefined ? {} : { Marker }) }), options),
    )
    for (const { AliasName } of page?.Aliases ?? [])
      if (!own.some(({ key }) => key === AliasName)) return true
    Marker = page?.Truncated === true ? page.NextMarker : undefined
  } while (Marker !== undefined)
  return false
}

function waiting(date: Date): Found {
  return { is: 'waiting', ground: 'KMS waiting period', until: date.toISOString() }
}

/** Null where KMS says that there is no such key. Its errors quote the key: only their names are passed on. */
function sender(options: KmsOptions): Send {
  const { store, pace, region, endpoint, credentials, patience } = options
  const side: Side = { store, vendor: 'AWS KMS', pace, patience }
  const client = new KMSClient({
    region,
    // We try again ourselves.
    maxAttempts: 1,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  })
  return (what, signal, call) =>
    callVendor(
      side,
      what,
      async (abortSignal) => {
        try {
          return await call(client, { abortSignal })
        } catch (error) {
          if (!(error instanceof KMSServiceException)) throw error
          if (error.name === 'NotFoundException') return null
          throw new Answered(statusOf(error), error.$response?.headers['retry-after'] ?? null, error.name)
        }
      },
      signal,
    )
}

/** Throttling has the status 400 here. */
function statusOf({ name, $metadata }: KMSServiceException): number {
  if (/^(Throttling|ThrottlingException|RequestLimitExceeded|TooManyRequestsException)$/.test(name))
    return 429
  return $metadata.httpStatusCode ?? 500
}
