/** What `lethe doctor` says about Redis: settings under which a queue wedges or vanishes. Reads only. */
import { defaultTimeouts, producerConnection, redisErrorText } from './connection.ts'
import type { QueueSettings } from './queues.ts'
import { LetheError } from '../errors/index.ts'

export interface RedisFacts {
  version: string
  /** `noeviction` is the only policy under which queues are safe; null: the server does not say. */
  evictionPolicy: string | null
  appendOnly: boolean | null
  usedMemoryBytes: number
  /** 0: no limit. */
  maxMemoryBytes: number
  clustered: boolean
}

export async function inspectRedis(settings: QueueSettings): Promise<RedisFacts> {
  const redis = producerConnection(settings.url, settings.timeouts ?? defaultTimeouts)
  redis.on('error', () => undefined)
  try {
    await new Promise<void>((resolve, reject) => {
      redis.once('ready', resolve)
      redis.once('error', reject)
    })
    const info = parseInfo(await redis.info())
    return {
      version: info.get('redis_version') ?? 'unknown',
      evictionPolicy: info.get('maxmemory_policy') ?? null,
      appendOnly: info.has('aof_enabled') ? info.get('aof_enabled') === '1' : null,
      usedMemoryBytes: Number(info.get('used_memory') ?? 0),
      maxMemoryBytes: Number(info.get('maxmemory') ?? 0),
      clustered: info.get('cluster_enabled') === '1',
    }
  } catch (error) {
    throw new LetheError('E_REDIS_UNAVAILABLE', {
      message: `Redis did not answer (${redisErrorText(error)}).`,
    })
  } finally {
    redis.disconnect()
  }
}

function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return fields
}
