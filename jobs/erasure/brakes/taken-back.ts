/**
 * What people take back while a step runs: a cancel that an application committed before anything of its request was destroyed
 * wins. It is looked for before the ledger's entries, before the first call to each place, and in the transaction of the first
 * rows; what came later is refused, and the application is told so.
 */
import { isWhole } from '../../../lib/data/rows/index.ts'
import { hasCancel, hasIntake, openCancels, unbeginLegs } from '../../../lib/record/requests/index.ts'
import { takeIntake } from '../cascade/intake.ts'
import type { House, PersonLeg } from '../cascade/house.ts'

/**
 * Reads what was taken back since, if anything was. `asked`: also what was asked for, since a person who closes their account has a
 * grace that a policy's request hasn't. True: something was, and requests may stand elsewhere now.
 */
export async function takeBack(house: House, asked = false): Promise<boolean> {
  if (!(await (asked ? hasIntake(house.target) : hasCancel(house.target, house.intake.passed)))) return false
  await readIntake(house)
  return true
}

/** A cancel that stays can't be followed now; it stops nobody twice. No call may be under way that has not looked yet. */
export async function readIntake(house: House): Promise<void> {
  await takeIntake(house.context, house.subject.store, true)
  house.intake.passed = await openCancels(house.target)
  house.intake.due = false
}

/** Before the first call of some of these: whether somebody took a request back meanwhile. */
export async function isCalledOff(house: House, pairs: readonly PersonLeg[]): Promise<boolean> {
  return (
    pairs.some(({ leg }) => leg.requestedAt === null) && (await hasCancel(house.target, house.intake.passed))
  )
}

/**
 * A call was called off: those of whom nothing is gone are as if it had not been begun, so that a cancel finds them whole. The
 * intake is read once every call that is under way has ended. Returns those whose call has destroyed something.
 */
export async function callOff<P extends PersonLeg>(
  house: House,
  store: string,
  pairs: readonly P[],
): Promise<P[]> {
  const begun = await unbegin(house, store, pairs)
  house.intake.due = true
  return begun
}

/** The same where their policy's conditions turned: this step asks for none of those any more. */
export async function setAside<P extends PersonLeg>(
  house: House,
  store: string,
  pairs: readonly P[],
): Promise<P[]> {
  for (const { leg } of pairs) house.aside.add(leg.requestId)
  return unbegin(house, store, pairs)
}

/** Whose rows are all there has not been begun, although the call went out. Returns the others. */
export async function unbegin<P extends PersonLeg>(
  house: House,
  store: string,
  pairs: readonly P[],
): Promise<P[]> {
  const begun: P[] = []
  const untouched: string[] = []
  for (const pair of pairs)
    if (pair.leg.requestedAt === null && (await nothingGone(house, store, pair)))
      untouched.push(pair.leg.requestId)
    else begun.push(pair)
  await unbeginLegs(house.context.control, house.claim, store, untouched)
  return begun
}

/** Elsewhere nothing goes before the call; in the own store a subject goes whole, or its begun removal stands there. */
async function nothingGone(house: House, store: string, { person }: PersonLeg): Promise<boolean> {
  if (store !== house.subject.store) return true
  const plan = await house.plan(person.retained)
  for (const key of person.keys) if (!(await isWhole(house.target, plan, key))) return false
  return true
}
