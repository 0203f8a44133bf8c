/**
 * Who the patients are: their state towards retention, their household, their dates. The first ones are cast by hand, so
 * that the smallest clinic has one of each kind; the others are drawn. All people are invented; every address ends in
 * example.invalid.
 */
import { DAY } from './times.ts'
import type { Random } from './random.ts'

type State = 'active' | 'deleted-due' | 'deleted-recent' | 'inactive' | 'inactive-soon'

export interface Person {
  id: number
  organisation: number
  state: State
  /** A row of every kind. */
  full: boolean
  /** Tens of thousands of observations. */
  heavy: boolean
  hold: 'none' | 'open' | 'released'
  recentInvoice: boolean
  /** A controlled drug at the last contact. */
  controlledDrug: boolean
  given: string
  family: string
  /** Seconds since 1970, UTC, as all times here. */
  bornAt: number
  diedAt: number | null
  createdAt: number
  lastContactAt: number
  deletedAt: number | null
  /** The person this one lives with, cast just before. */
  housemate: Person | null
  /** The person this row is a duplicate of. */
  mergedInto: Person | null
  addressId: number | null
  nhsNumber: string
}

interface Role {
  state?: State
  full?: boolean
  heavy?: boolean
  hold?: 'open' | 'released'
  recentInvoice?: boolean
  controlledDrug?: boolean
  dead?: boolean
  minor?: boolean
  household?: boolean
  merged?: boolean
}

const cast: readonly Role[] = [
  { full: true },
  { state: 'deleted-due' },
  { merged: true },
  { state: 'deleted-recent' },
  { state: 'deleted-due', hold: 'open' },
  { state: 'deleted-due', hold: 'released' },
  { state: 'inactive' },
  { state: 'inactive', hold: 'open' },
  { state: 'inactive-soon' },
  { state: 'deleted-due', recentInvoice: true },
  { state: 'deleted-due', heavy: true },
  { dead: true },
  { minor: true },
  { full: true, household: true },
  { state: 'deleted-due' },
  { household: true },
  { merged: true },
  { state: 'inactive', minor: true },
  { state: 'deleted-due' },
  { merged: true, hold: 'open' },
  { state: 'deleted-due', controlledDrug: true },
  { state: 'deleted-due' },
  { merged: true, recentInvoice: true },
]

/** The smallest clinic in which everybody of the cast has a place. */
export const smallestClinic = cast.length

const givenNames =
  'Abrella Bexmo Corvil Dunella Esprik Fandor Gildra Hestro Ivelda Jorvik Kelmia Lundro Mirvel Nosta'
    .concat(' Orvina Pelgro Quenda Rustova Silvix Tamrel Ulvena Vestro Wimbra Xandro Yelmia Zorvik')
    .split(' ')
const familyNames =
  'Ackelby Brindlemoor Cottlewick Dapplethorn Elmsworthy Fennelgate Gorsebank Hollowmere Inkpenny'
    .concat(' Jumblestone Knapweed Larkfold Mossberry Nettleham Oakenthwaite Pebbleford Quillhurst Rushmarsh')
    .concat(' Stumblecroft Thistledown Umberfield Vetchley Whortlebank Yarrowgate')
    .split(' ')

/** Seven years, in whole days on the short side; the bands below keep clear of the boundary by more than a leap day. */
const SEVEN_YEARS = 2556

export interface CastOptions {
  now: number
  organisations: number
  /** Index of the second patient with very many observations (the first belongs to the cast). */
  heavyIndex: number
  canary: string
}

export function castPerson(
  random: Random,
  index: number,
  previous: Person | null,
  options: CastOptions,
): Person {
  const { now } = options
  const role = cast[index] ?? drawRole(random, previous)
  const twin = role.merged === true ? previous : null
  const housemate = role.household === true ? previous : null
  const state = role.state ?? 'active'
  const deletedAt =
    state === 'deleted-due'
      ? now - days(random, 32, role.controlledDrug === true ? 100 : 700)
      : state === 'deleted-recent'
        ? now - days(random, 1, 28)
        : null
  const lastContactAt = twin?.lastContactAt ?? lastContact(random, state, deletedAt, now)
  const createdAt = lastContactAt - days(random, 20, random.chance(0.15) ? 4000 : 1500)
  const age = role.minor === true ? 365 + random.below(15 * 365) : 18 * 365 + random.below(75 * 365)
  const canary = options.canary
  const nameMark = canary === '' ? '' : `${canary} `
  return {
    id: index + 1,
    organisation: twin?.organisation ?? housemate?.organisation ?? 1 + random.below(options.organisations),
    state,
    full: role.full === true,
    heavy: role.heavy === true || index === options.heavyIndex,
    hold: role.hold ?? 'none',
    recentInvoice: role.recentInvoice === true,
    controlledDrug: role.controlledDrug === true,
    given: twin?.given ?? nameMark + random.pick(givenNames),
    family: twin?.family ?? housemate?.family ?? nameMark + random.pick(familyNames),
    bornAt: twin?.bornAt ?? createdAt - age * DAY,
    diedAt: role.dead === true ? Math.min(now, lastContactAt + days(random, 1, 20)) : null,
    createdAt,
    lastContactAt,
    deletedAt,
    housemate,
    mergedInto: twin,
    addressId: (twin ?? housemate)?.addressId ?? null,
    // 999 is the NHS's own range for test patients
    nhsNumber: `${canary}999${String(index + 1).padStart(7, '0')}`,
  }
}

function drawRole(random: Random, previous: Person | null): Role {
  if (previous !== null && previous.mergedInto === null) {
    // duplicates of patients who will go are what a purge gets wrong, so there are more of them
    if (random.chance(previous.deletedAt === null ? 0.004 : 0.05)) return { merged: true }
  }
  const draw = random.below(1000)
  const state: State =
    draw < 10
      ? 'deleted-due'
      : draw < 20
        ? 'deleted-recent'
        : draw < 35
          ? 'inactive'
          : draw < 38
            ? 'inactive-soon'
            : 'active'
  const role: Role = {
    state,
    dead: random.chance(0.03),
    minor: random.chance(0.12),
    household: random.chance(0.2) && previous !== null && previous.mergedInto === null,
  }
  if (random.chance(state === 'active' ? 0.001 : 0.04)) role.hold = random.chance(0.67) ? 'open' : 'released'
  return role
}

function lastContact(random: Random, state: State, deletedAt: number | null, now: number): number {
  if (deletedAt !== null) return deletedAt - days(random, 1, 200)
  if (state === 'inactive') return now - days(random, SEVEN_YEARS + 5, SEVEN_YEARS + 1800)
  if (state === 'inactive-soon') return now - days(random, SEVEN_YEARS - 28, SEVEN_YEARS - 2)
  return now - Math.floor(random.fraction() * random.fraction() * (SEVEN_YEARS - 200) * DAY) - 3600
}

/** A span between two numbers of days, in seconds. */
function days(random: Random, from: number, to: number): number {
  return from * DAY + random.below((to - from) * DAY)
}
