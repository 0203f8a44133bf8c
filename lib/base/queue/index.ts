import './errors.ts'

export { inspectRedis, type RedisFacts } from './inspect.ts'
export type { RedisTimeouts } from './connection.ts'
export type { JobPayload } from './payload.ts'
export { openQueues, type QueueCounts, type Queues, type QueueSettings } from './queues.ts'
export { startWorker, type QueueWorker, type WorkerHandlers } from './worker.ts'
