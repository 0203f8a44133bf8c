/** The one client of S3 servers. It loads the SDK: whoever enters does so when something is to be called. */
export {
  ask,
  isTransient,
  orRefused,
  refusal,
  Refusal,
  s3Server,
  safeCode,
  unavailable,
  type S3Server,
  type S3Settings,
} from './client.ts'
