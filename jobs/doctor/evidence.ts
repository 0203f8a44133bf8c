/** The evidence log: whether it keeps up, and whether anybody outside could find out that it was changed. */
import type { Config } from '../../lib/config/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import { logStatus } from '../../lib/record/evidence/index.ts'
import { examine, type Finding } from './finding.ts'

/** Minutes are sound: a round a second, a head a minute. */
const BEHIND_SECONDS = 900

export async function examineEvidence(control: Database, { file }: Config): Promise<Finding[]> {
  const { evidence, locked_bucket: bucket } = file
  const { behind, lockedFor, size } = await logStatus(control)
  const log = examine('evidence-log', 'control')
  const anchored = examine('evidence-anchored', 'control')
  if (evidence === undefined)
    return log.note(
      'No evidence log is configured: nobody can prove that the record was not changed.',
      'Add evidence: { origin: NAME } and publish `lethe evidence keys`; see runbooks/evidence.md.',
    )
  const late = [
    ...(behind.sequenced > BEHIND_SECONDS ? ['events wait for their index'] : []),
    ...(behind.signed > BEHIND_SECONDS ? ['entries wait for a signed head'] : []),
    ...(bucket !== undefined && lockedFor === bucket.lock && behind.published > BEHIND_SECONDS
      ? ['heads wait for their copy in the bucket']
      : []),
  ]
  return [
    ...(late.length > 0
      ? log.error(
          `The evidence log is behind by more than a quarter of an hour: ${late.join(', ')}.`,
          'Is a process with the role evidence running? Its log says why; see runbooks/alerts/evidence-behind.md.',
        )
      : log.ok(`the evidence log keeps up (${size} entries)`)),
    ...(bucket === undefined
      ? anchored.warning(
          'Signed heads stand in the control database only: who owns it can take it back in time unseen.',
          'Give locked_bucket, or keep a signed head elsewhere and compare: lethe evidence verify --head FILE.',
        )
      : lockedFor === bucket.lock
        ? anchored.ok(`signed heads are copied to bucket ${bucket.name}, locked for ${bucket.lock}`)
        : anchored.error(
            `Nothing is copied to bucket ${bucket.name}: nobody has typed its lock period back.`,
            `lethe evidence lock "${bucket.lock}"`,
          )),
    ...(evidence.retention_url === undefined
      ? examine('evidence-age', 'control').note(
          `Contents of evidence older than ${evidence.keep} stay.`,
          'Give evidence.retention_url, a login that is a member of lethe_retention: `lethe grants --sql`.',
        )
      : []),
  ]
}
