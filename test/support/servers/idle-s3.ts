/** Starts an S3 server, says which processes it is, and waits to be ended. */
import { startS3 } from './s3.ts'

const s3 = await startS3({ own: true })
process.stdout.write(`${JSON.stringify(s3.pids)}\n`)
setInterval(() => undefined, 1000)
