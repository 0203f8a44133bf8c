/** What a clinic has before its first patient: organisations, clinicians, medications. */
import { DAY, instant } from './times.ts'
import { NULL, type Sheets } from './sheets.ts'
import type { Random } from './random.ts'

export const medications = [
  'Examplol',
  'Testamine',
  'Placebene',
  'Mockacillin',
  'Sampletine',
  'Fixturol',
  'Stubazepam',
  'Dummycodone',
]
/** The last two are controlled drugs. */
export const firstControlled = 7

export interface Staff {
  organisations: number
  cliniciansEach: number
}

export function staffFor(patients: number): Staff {
  const organisations = Math.max(3, Math.ceil(patients / 5000))
  return { organisations, cliniciansEach: Math.max(3, Math.ceil(patients / organisations / 400)) }
}

/** A clinician of the organisation. */
export function clinicianOf(random: Random, staff: Staff, organisation: number): number {
  return (organisation - 1) * staff.cliniciansEach + 1 + random.below(staff.cliniciansEach)
}

export function addStaff(sheets: Sheets, staff: Staff, random: Random, now: number, canary: string): void {
  const mark = canary === '' ? '' : `${canary} `
  const opened = now - 20 * 365 * DAY
  for (let number = 1; number <= staff.organisations; number++) {
    const id = sheets['public.organisations'].nextId()
    sheets['public.organisations'].add(`${id}\tExample Health ${number}\t${NULL}\t${instant(opened)}`)
    for (let clinician = 0; clinician < staff.cliniciansEach; clinician++) {
      const key = sheets['public.clinicians'].nextId()
      const left = random.chance(0.05) ? instant(now - random.below(2000 * DAY)) : NULL
      sheets['public.clinicians'].add(
        `${key}\t${id}\t${mark}Dr Example ${key}\t${canary}clinician.${key}@example.invalid\t` +
          `${canary}REG${String(key).padStart(6, '0')}\t${left}\t${instant(opened)}`,
      )
    }
  }
  for (const [index, name] of medications.entries()) {
    const id = sheets['public.medications'].nextId()
    sheets['public.medications'].add(`${id}\t${name}\t${index + 1 >= firstControlled ? 't' : 'f'}`)
  }
}
