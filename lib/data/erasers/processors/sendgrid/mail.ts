/** What SendGrid keeps of the mail it sent: names, addresses, subject lines, IP addresses (Recipients' Data Erasure API). */
import { z } from 'zod'
import { LetheError } from '../../../../base/errors/index.ts'
import { inPieces, sendSplit } from '../split.ts'
import { jobId } from '../resume.ts'
import { askSendgrid, type SendgridSide } from './client.ts'

/** Of one job; 256 KB are the limit of the whole request. */
const ADDRESSES = 5000
const BYTES = 250_000

const started = z.object({ job_id: jobId })

/** Starting the job again for the same addresses erases nothing more. It has no status that could be asked for. */
export async function eraseMail(
  side: SendgridSide,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<{ jobs: string[]; refused: number }> {
  const jobs: string[] = []
  let refused = 0
  for (const piece of inPieces(addresses, ADDRESSES, BYTES)) {
    const bad = await sendSplit(piece, async (some) => {
      const ask = {
        method: 'POST',
        path: '/v3/recipients/erasejob',
        body: { email_addresses: some },
      } as const
      const answer = await askSendgrid(side, 'start an erasure job', ask, started, signal)
      // Not for an address that is unknown: this endpoint answers so where the account doesn't have it.
      if (answer === null) throw missing(side)
      jobs.push(answer.job_id)
    })
    refused += bad.length
  }
  return { jobs, refused }
}

export function missing({ store }: SendgridSide): LetheError {
  return new LetheError('E_STORE_REFUSED', {
    message: `SendGrid (${store}) has no erasure jobs for this key or account.`,
    next: "Give the key the scope recipients.erasejob.create; an account from before July 2023 asks SendGrid's support for it.",
    facts: { store },
  })
}
