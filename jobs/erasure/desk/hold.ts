/** A legal hold on the person of a request, and its end: the same holds as the sweep obeys. */
import { everySubjectHash } from '../../../lib/base/keystore/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import type { Attested } from '../../../lib/people/identity/index.ts'
import { holdsOnSubject, type NewHold } from '../../../lib/record/holds/index.ts'
import { getRequest, openSecrets, wakeHeld } from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { addHold, releaseHold, type HoldAdded } from '../../holds.ts'

/** The hold that would be added; its statement is what a person signs. Throws E_NOT_FOUND, E_SEALED_GONE. */
export async function holdRequest(
  context: Context,
  id: string,
  about: Pick<NewHold, 'kind' | 'owner' | 'reason' | 'reviewAt'>,
): Promise<{ hold: NewHold; add(by: Attested): Promise<HoldAdded> }> {
  const request = await getRequest(context.control, id)
  const { key } = openSecrets(context.keystore, request)
  const hold: NewHold = {
    level: 'subject',
    store: request.store,
    subject: request.subjectKind,
    key,
    request: id,
    ...about,
  }
  return {
    hold,
    async add(by) {
      const added = await addHold(context, hold, by)
      // a worker looks at once, not when the request would have been due
      await wakeHeld(context.control, request.store)
      return added
    },
  }
}

/** The holds on this person that were added by name; throws E_NOT_FOUND where there is none. */
export async function releaseRequest(
  context: Context,
  id: string,
): Promise<{ holds: string[]; release(by: (hold: string) => Promise<Attested | null>): Promise<void> }> {
  const request = await getRequest(context.control, id)
  const { key } = openSecrets(context.keystore, request)
  const { store, subjectKind } = request
  const hashes = everySubjectHash(context.keystore, store, subjectKind, key)
  const holds = await holdsOnSubject(context.control, { store, subjectKind, hashes })
  if (holds.length === 0)
    throw new LetheError('E_NOT_FOUND', {
      message: `No hold of its own stands on the person of request ${id}.`,
      next: 'See `lethe hold list`: a hold on a row, a table or a tenant is released there.',
    })
  return {
    holds,
    async release(by) {
      for (const hold of holds) {
        const attested = await by(hold)
        if (attested === null) return
        await releaseHold(context, hold, attested)
      }
      await wakeHeld(context.control, request.store)
    },
  }
}
