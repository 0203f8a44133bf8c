/**
 * What the clinic has beside its database: files in a real S3 server, sessions in a real Redis, and three processors that
 * speak their vendors' wire formats on the loopback. Fills them with what belongs to a patient, and counts it again; the
 * rows of the database too.
 */
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { Redis } from 'ioredis'
import type pg from 'pg'
import { startSendgrid, type SendgridServer } from '../../../test/support/vendors/sendgrid.ts'
import type { S3Server } from '../../../test/support/servers/servers.ts'
import { startStripe, type StripeServer } from '../../../test/support/vendors/stripe.ts'
import {
  startWebhookProcessor,
  type WebhookProcessor,
} from '../../../test/support/vendors/webhook-processor.ts'
import { query } from './stage.ts'

export interface Elsewhere {
  env: Record<string, string>
  sendgrid: SendgridServer
  stripe: StripeServer
  letters: WebhookProcessor
  /** Puts something of this patient into every place. */
  fill(patient: number): Promise<Belongings>
  close(): Promise<void>
}

export interface Belongings {
  email: string
  /** Items that are there now, by place. */
  count(): Promise<Record<string, number>>
}

/** The ledger of erasures and the log's heads are copied here before anything goes, and nobody can take them out. */
export const lockedBucket = 'clinic-evidence'
const buckets = ['clinic-files', 'clinic-scans']

export async function openElsewhere(clinicUrl: string, s3: S3Server, redisUrl: string): Promise<Elsewhere> {
  const [sendgrid, stripe, letters] = [
    await startSendgrid(),
    await startStripe(),
    await startWebhookProcessor(),
  ]
  const files = new S3Client({ ...s3, credentials: s3, forcePathStyle: true })
  for (const Bucket of buckets) {
    await files.send(new CreateBucketCommand({ Bucket }))
    const VersioningConfiguration = { Status: 'Enabled' as const }
    await files.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
  }
  await files.send(new CreateBucketCommand({ Bucket: lockedBucket, ObjectLockEnabledForBucket: true }))
  // Lethe's own queues stand in database 0 of the same server.
  const cacheUrl = `${redisUrl}/1`
  const cache = new Redis(cacheUrl)
  const put = (Bucket: string, Key: string) =>
    files.send(new PutObjectCommand({ Bucket, Key, Body: 'invented', ChecksumAlgorithm: 'SHA256' }))
  /** All that begins with the prefix; of these only the keys given, where they are. */
  const versions = async (Bucket: string, Prefix: string, keys?: readonly string[]) => {
    const found = await files.send(new ListObjectVersionsCommand({ Bucket, Prefix }))
    return [...(found.Versions ?? []), ...(found.DeleteMarkers ?? [])].filter(
      ({ Key = '' }) => keys === undefined || keys.includes(Key),
    ).length
  }

  return {
    env: {
      CLINIC_S3_ACCESS_KEY: s3.accessKeyId,
      CLINIC_S3_SECRET_KEY: s3.secretAccessKey,
      CLINIC_REDIS_URL: cacheUrl,
      CLINIC_SENDGRID_KEY: 'SG.of-the-demo',
      CLINIC_STRIPE_KEY: 'sk_test_of_the_tests',
      CLINIC_LETTERS_URL: `${letters.url}/lethe`,
      CLINIC_LETTERS_SECRET: letters.secret,
    },
    sendgrid,
    stripe,
    letters,
    async fill(patient) {
      const { email, customer, files: keys, sessions } = await lookUp(clinicUrl, patient)
      const scans = `patients/${patient}/`
      // twice: in a versioned bucket the first version stays beneath the second
      for (const key of [...keys, ...keys]) await put('clinic-files', key)
      await put('clinic-scans', `${scans}knee.dcm`)
      await put('clinic-scans', `${scans}hand.dcm`)
      // what the application deletes is only hidden there
      await files.send(new DeleteObjectCommand({ Bucket: 'clinic-scans', Key: `${scans}hand.dcm` }))
      const cached = [...sessions.map((token) => `session:${token}`), `patient:${patient}:booking`]
      for (const key of cached) await cache.set(key, 'invented')
      sendgrid.contacts.push({ id: `c-${patient}`, email, alternate_emails: [] })
      stripe.customers.push({ id: customer, email, state: 'present' })
      letters.letters.set(email, 3)
      return {
        email,
        count: async () => ({
          ...(await rowsOf(clinicUrl, patient, email)),
          'versions and delete markers in S3':
            (await versions('clinic-files', 'documents/', keys)) +
            (await versions('clinic-files', 'attachments/', keys)) +
            (await versions('clinic-scans', scans)),
          'keys in Redis': await cache.exists(...cached),
          'contacts at SendGrid': sendgrid.contacts.filter((one) => one.email === email).length,
          'customers at Stripe': stripe.customers.filter(
            ({ id, state }) => id === customer && state === 'present',
          ).length,
          'letters at the print shop': letters.letters.get(email) ?? 0,
        }),
      }
    },
    async close() {
      cache.disconnect()
      files.destroy()
      await Promise.all([sendgrid.close(), stripe.close(), letters.close()])
    },
  }
}

/** Whatever the map says: the patient's own row, and each row of any table that carries their number. */
async function rowsOf(url: string, patient: number, email: string): Promise<Record<string, number>> {
  const tables = await query<{ name: string; column: string }>(
    url,
    `SELECT c.oid::regclass::text AS name, quote_ident(a.attname) AS column FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
     WHERE c.relnamespace IN ('public'::regnamespace, 'billing'::regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND lower(replace(a.attname, '_', '')) IN ('patientid', 'patientref')`,
  )
  const counted = [...tables, { name: 'public.patients', column: 'id' }].map(
    ({ name, column }) => `SELECT count(*) AS n FROM ${name} WHERE ${column} = ${patient}`,
  )
  const [rows] = await query<{ all: number; named: number }>(
    url,
    `SELECT (SELECT sum(n)::int FROM (${counted.join(' UNION ALL ')}) AS every) AS all,
       (SELECT count(*)::int FROM public.patients WHERE email = '${email}') AS named`,
  )
  return {
    'rows in PostgreSQL with their number': rows?.all ?? -1,
    'rows there with their address': rows?.named ?? -1,
  }
}

interface Known extends pg.QueryResultRow {
  email: string
  customer: string
  files: string[]
  sessions: string[]
}

async function lookUp(url: string, patient: number): Promise<Known> {
  const [known] = await query<Known>(
    url,
    `SELECT email, stripe_customer AS customer,
       ARRAY(SELECT token FROM public.sessions WHERE patient_id = p.id) AS sessions,
       ARRAY(SELECT file_key FROM public.documents WHERE patient_ref = p.id
         UNION ALL SELECT file_key FROM public.attachments WHERE subject_type = 'patient' AND subject_id = p.id
         UNION ALL SELECT file_key FROM public.attachments WHERE subject_type = 'message'
           AND subject_id IN (SELECT id FROM public.messages WHERE patient_id = p.id)) AS files
     FROM public.patients p WHERE id = ${patient}`,
  )
  if (known === undefined) throw new Error(`there is no patient ${patient}`)
  return known
}
