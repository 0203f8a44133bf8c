/** Reading back by address. What SendGrid keeps of sent mail can't be read back: an erasure job is taken or not. */
import type { Located, SubjectRef, Verification } from '../../eraser.ts'
import { addressesOf } from './addresses.ts'
import type { SendgridSide } from './client.ts'
import { searchContacts } from './contacts.ts'
import { counted, isDeleted, retainedOf } from './erase.ts'
import type { SendgridPlan } from './plan.ts'
import { suppressionsOf, type Suppression } from './suppressions.ts'

export async function locateAddresses(
  side: SendgridSide,
  subjects: readonly SubjectRef[],
  plan: SendgridPlan,
  signal: AbortSignal,
): Promise<Located> {
  const { all } = addressesOf(subjects, plan)
  const { found } = await searchContacts(side, all, signal)
  const own = new Set([...found.values()].filter((contact) => contact.own).map(({ id }) => id))
  const lists: Suppression[] = []
  for (const address of all)
    lists.push(...(await suppressionsOf(side, address, signal)).filter(({ kind }) => isDeleted(side, kind)))
  return { counts: { ...(own.size === 0 ? {} : { contacts: own.size }), ...counted(lists) } }
}

export async function verifyAddresses(
  side: SendgridSide,
  subjects: readonly SubjectRef[],
  plan: SendgridPlan,
  signal: AbortSignal,
): Promise<Verification[]> {
  const { found, refused } = await searchContacts(side, addressesOf(subjects, plan).all, signal)
  const verifications: Verification[] = []
  for (const subject of subjects) {
    const { all } = addressesOf([subject], plan)
    const lower = [...new Set(all.map((address) => address.toLowerCase()))]
    const contacts = new Map(
      lower.flatMap((address) => found.get(address) ?? []).map((one) => [one.id, one.own]),
    )
    const own = [...contacts.values()].filter(Boolean).length
    const unsearched = lower.filter((address) => refused.has(address)).length
    const lists: Suppression[] = []
    for (const address of all) lists.push(...(await suppressionsOf(side, address, signal)))
    const left = {
      ...place('contacts', own),
      ...place('contacts of another address', contacts.size - own),
      ...place('addresses that could not be searched for', unsearched),
      ...counted(lists.filter(({ kind }) => isDeleted(side, kind))),
    }
    verifications.push({
      absent: Object.keys(left).length === 0,
      left,
      retained: retainedOf(lists.filter(({ kind }) => !isDeleted(side, kind))),
    })
  }
  return verifications
}

function place(name: string, count: number): Record<string, number> {
  return count === 0 ? {} : { [name]: count }
}
