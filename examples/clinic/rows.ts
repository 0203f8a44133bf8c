/** The rows of one patient in every table, about a dozen in all. Rows name each other by ids given here. */
import { clinicianOf, firstControlled, medications, type Staff } from './staff.ts'
import { DAY, date, instant, localInstant } from './times.ts'
import { NULL, type Sheets } from './sheets.ts'
import type { Person } from './people.ts'
import type { Random } from './random.ts'

export interface RowOptions {
  sheets: Sheets
  staff: Staff
  now: number
  canary: string
  heavyObservations: number
}

const reasons = ['follow-up', 'new symptoms', 'annual review', 'vaccination', 'test results']
const sentences = [
  'Results discussed, next visit in six weeks.',
  'Please take the tablets with food.',
  'The referral has been sent today.',
  'Feels better than last month.',
  'Blood pressure to be measured at home.',
]
const observationCodes = ['weight', 'glucose', 'temperature', 'saturation', 'peak-flow']
const tests = ['full blood count', 'urea', 'cholesterol', 'HbA1c', 'ferritin']
const actions = ['record.viewed', 'record.changed', 'letter.printed', 'export.created']

/** Adds everything about one person; returns nothing, since the sheets hold it. */
export function addPatient(random: Random, person: Person, options: RowOptions): void {
  new PatientRows(random, person, options).addAll()
}

class PatientRows {
  readonly #random: Random
  readonly #person: Person
  readonly #options: RowOptions
  readonly #sheets: Sheets
  /** Put in front of every personal text, so that a test can search for it. */
  readonly #mark: string
  readonly #span: number

  constructor(random: Random, person: Person, options: RowOptions) {
    this.#random = random
    this.#person = person
    this.#options = options
    this.#sheets = options.sheets
    this.#mark = options.canary === '' ? '' : `${options.canary} `
    this.#span = person.lastContactAt - person.createdAt
  }

  addAll(): void {
    this.#identity()
    this.#household()
    const appointments = this.#appointments()
    this.#prescriptions(appointments)
    this.#invoices(appointments)
    this.#episodes()
    this.#messages()
    this.#measurements()
    this.#files()
    this.#notes()
    this.#trails()
  }

  #identity(): void {
    const { canary } = this.#options
    const person = this.#person
    const random = this.#random
    if (person.addressId === null && (person.full || random.chance(0.97))) {
      person.addressId = this.#sheets['public.addresses'].nextId()
      this.#sheets['public.addresses'].add(
        `${person.addressId}\t${this.#mark}${1 + random.below(200)} Invented Lane\t${this.#mark}Exampleton\t` +
          `${this.#mark}ZZ${1 + random.below(99)} ${random.below(10)}ZZ`,
      )
    }
    const handle = `${canary}${canary === '' ? '' : '.'}patient.${person.id}`
    const phone = `${canary}+447700900${String(person.id % 1000).padStart(3, '0')}`
    const id = this.#sheets['public.patients'].nextId()
    this.#sheets['public.patients'].add(
      `${id}\t${person.organisation}\t${person.nhsNumber}\t${person.given}\t${person.family}\t` +
        `${date(person.bornAt)}\t${person.diedAt === null ? NULL : date(person.diedAt)}\t` +
        `${handle}@example.invalid\t${random.chance(0.8) ? phone : NULL}\t${person.addressId ?? NULL}\t` +
        `${this.#has(0.4) ? this.#secret(4) : NULL}\t${instant(person.lastContactAt)}\t` +
        `${person.deletedAt === null ? NULL : instant(person.deletedAt)}\t${person.mergedInto?.id ?? NULL}\t` +
        `${person.deletedAt === null && person.mergedInto === null ? 't' : 'f'}\t${this.#stripeCustomer()}\t` +
        instant(person.createdAt),
    )
    if (this.#has(0.5)) {
      this.#sheets['public.preferences'].add(
        `${id}\t${person.given}\t{"theme": "${random.chance(0.5) ? 'dark' : 'light'}", "letters": true}`,
      )
    }
    for (let left = this.#count(0.4); left > 0; left--) {
      const at = this.#moment()
      this.#sheets['public.sessions'].add(
        `${this.#sheets['public.sessions'].nextId()}\t${id}\t${canary}${random.hex(2)}\t192.0.2.${random.below(255)}\t` +
          `${this.#mark}Browser/${1 + random.below(20)}\t${instant(at)}\t${instant(at + DAY)}`,
      )
    }
    for (let left = this.#count(0.2); left > 0; left--) {
      this.#sheets['public.emergency_contacts'].add(
        `${this.#sheets['public.emergency_contacts'].nextId()}\t${id}\t${this.#mark}Kin ${person.family}\t` +
          `${canary}+447700901${String(random.below(1000)).padStart(3, '0')}\tpartner`,
      )
    }
  }

  #household(): void {
    const { id, housemate } = this.#person
    if (housemate !== null && this.#has(0.25))
      this.#sheets['public.family_links'].add(`${id}\t${housemate.id}\tlives with`)
    if (this.#has(housemate === null ? 0.005 : 0.08)) {
      this.#sheets['public.care_plans'].add(
        `${this.#sheets['public.care_plans'].nextId()}\t${housemate?.id ?? id}\t${housemate === null ? NULL : id}\t` +
          `${this.#text()}\t${this.#at()}`,
      )
    }
  }

  #appointments(): { id: number; at: number }[] {
    const made: { id: number; at: number }[] = []
    for (let left = this.#count(1); left > 0; left--) {
      const id = this.#sheets['public.appointments'].nextId()
      const at = this.#moment()
      this.#sheets['public.appointments'].add(
        `${id}\t${this.#person.id}\t${this.#clinician()}\t${instant(at)}\tattended\t` +
          `${this.#mark}${this.#random.pick(reasons)}`,
      )
      made.push({ id, at })
    }
    return made
  }

  #prescriptions(appointments: readonly { id: number; at: number }[]): void {
    const random = this.#random
    const { id: patient, controlledDrug, lastContactAt } = this.#person
    for (let left = controlledDrug ? 1 : this.#count(0.5); left > 0; left--) {
      const id = this.#sheets['public.prescriptions'].nextId()
      const visit = appointments[left - 1]
      const controlled = controlledDrug || random.chance(0.04)
      const at = controlledDrug ? lastContactAt : (visit?.at ?? this.#moment())
      this.#sheets['public.prescriptions'].add(
        `${id}\t${patient}\t${visit?.id ?? NULL}\t${controlled ? 't' : 'f'}\t${this.#text()}\t${instant(at)}`,
      )
      for (let items = 1 + random.below(2); items > 0; items--) {
        const medication = controlled
          ? firstControlled + random.below(medications.length - firstControlled + 1)
          : 1 + random.below(firstControlled - 1)
        this.#sheets['public.prescription_items'].add(
          `${this.#sheets['public.prescription_items'].nextId()}\t${id}\t${medication}\t${7 * (1 + random.below(8))}\t` +
            `${this.#mark}one a day`,
        )
      }
    }
  }

  #invoices(appointments: readonly { id: number; at: number }[]): void {
    const person = this.#person
    const wanted = person.recentInvoice ? 1 : this.#count(0.3)
    for (let number = 0; number < wanted; number++) {
      const id = this.#sheets['billing.invoices'].nextId()
      const visit = appointments[number]
      const lines = 1 + this.#random.below(2)
      const issued = person.recentInvoice ? person.lastContactAt : (visit?.at ?? this.#moment())
      this.#sheets['billing.invoices'].add(
        `${id}\t${person.id}\t${visit?.id ?? NULL}\t${person.given} ${person.family}\t` +
          `${this.#options.canary}billing.${person.id}@example.invalid\t${lines * 40}.00\t${date(issued)}`,
      )
      for (let line = 1; line <= lines; line++)
        this.#sheets['billing.invoice_lines'].add(`${id}\t${line}\t${this.#mark}consultation\t40.00`)
    }
  }

  #episodes(): void {
    if (!this.#has(0.12)) return
    const id = this.#sheets['public.episodes'].nextId()
    const opened = this.#moment()
    let current: number | null = null
    for (let left = this.#person.full ? 2 : this.#random.below(3); left > 0; left--) {
      current = this.#sheets['public.referrals'].nextId()
      this.#sheets['public.referrals'].add(
        `${current}\t${id}\tExample Hospital\t${this.#text()}\t${instant(opened + left * DAY)}`,
      )
    }
    this.#sheets['public.episodes'].add(
      `${id}\t${this.#person.id}\t${this.#mark}${this.#random.pick(reasons)}\t${current ?? NULL}\t${instant(opened)}`,
    )
  }

  #messages(): void {
    const random = this.#random
    let previous: number | null = null
    for (let left = this.#count(0.7); left > 0; left--) {
      const id = this.#sheets['public.messages'].nextId()
      const reply = previous !== null && (this.#person.full || random.chance(0.6)) ? previous : NULL
      this.#sheets['public.messages'].add(
        `${id}\t${this.#person.id}\t${this.#clinician()}\t${reply}\t${this.#text()}\t${this.#at()}`,
      )
      if (this.#has(0.06)) this.#attachment('message', id)
      previous = id
    }
  }

  #measurements(): void {
    const { id, nhsNumber, heavy } = this.#person
    const random = this.#random
    for (let left = heavy ? this.#options.heavyObservations : this.#count(1.5); left > 0; left--) {
      this.#sheets['public.observations'].add(
        `${this.#sheets['public.observations'].nextId()}\t${id}\t${random.pick(observationCodes)}\t` +
          `${random.below(2000) / 10}\t${random.chance(0.05) ? this.#text() : NULL}\t${this.#at()}`,
      )
    }
    for (let left = this.#count(0.6); left > 0; left--) {
      const vital = this.#sheets['public.vitals'].nextId()
      const at = this.#moment()
      this.#sheets['public.vitals'].add(
        `${vital}\t${id}\t${instant(at)}\t${50 + random.below(70)}\t${100 + random.below(60)}\t${60 + random.below(40)}`,
      )
      if (this.#has(0.03))
        this.#sheets['public.vital_alerts'].add(
          `${this.#sheets['public.vital_alerts'].nextId()}\t${vital}\t${instant(at)}\thigh\t${instant(at + 60)}`,
        )
    }
    for (let left = this.#count(0.6); left > 0; left--) {
      this.#sheets['public.device_readings'].add(
        `${this.#sheets['public.device_readings'].nextId()}\t${id}\t${this.#options.canary}DEV${random.hex(1)}\t` +
          `${random.below(1000) / 4}\t${this.#at()}`,
      )
    }
    for (let left = this.#count(0.4); left > 0; left--) {
      this.#sheets['public.lab_results'].add(
        `${this.#sheets['public.lab_results'].nextId()}\t${nhsNumber}\t${random.pick(tests)}\t` +
          `${this.#mark}${random.below(300)} (invented)\t${this.#at()}`,
      )
    }
  }

  #files(): void {
    const { id } = this.#person
    const { canary } = this.#options
    let folder: number | null = null
    for (let left = this.#count(0.15); left > 0; left--) {
      const next = this.#sheets['public.folders'].nextId()
      this.#sheets['public.folders'].add(`${next}\t${id}\t${folder ?? NULL}\t${this.#mark}letters ${left}`)
      folder = next
    }
    for (let left = this.#count(0.2); left > 0; left--) {
      const document = this.#sheets['public.documents'].nextId()
      this.#sheets['public.documents'].add(
        `${document}\t${id}\t${folder ?? NULL}\t${this.#text()}\t${canary}documents/${id}/${document}.pdf\t${this.#at()}`,
      )
    }
    if (this.#has(0.06)) this.#attachment('patient', id)
  }

  #notes(): void {
    const { id, given, family, hold, lastContactAt } = this.#person
    const { now } = this.#options
    for (let left = this.#count(0.2); left > 0; left--) {
      this.#sheets['public."ClinicNotes"'].add(
        `${this.#sheets['public."ClinicNotes"'].nextId()}\t${id}\t${this.#has(0.9) ? this.#clinician() : NULL}\t` +
          `${this.#text()}\t${this.#at()}`,
      )
    }
    for (let left = this.#count(0.1); left > 0; left--) {
      this.#sheets['public.allergies'].add(
        `${this.#sheets['public.allergies'].nextId()}\t${id}\t${this.#mark}Examplol\tmoderate\t${date(this.#moment())}`,
      )
    }
    for (let left = this.#count(0.3); left > 0; left--) {
      const at = this.#moment()
      const withdrawn = this.#random.chance(0.1) ? instant(Math.min(at + 90 * DAY, lastContactAt)) : NULL
      this.#sheets['public.consents'].add(
        `${this.#sheets['public.consents'].nextId()}\t${id}\tresearch\t${given} ${family}\t${instant(at)}\t${withdrawn}`,
      )
    }
    if (this.#has(0.03)) {
      this.#sheets['public.waiting_list'].add(
        `${this.#sheets['public.waiting_list'].nextId()}\t${id}\t${this.#has(0.7) ? this.#clinician() : NULL}\t` +
          `${1 + this.#random.below(5)}\t${localInstant(this.#moment())}`,
      )
    }
    if (hold !== 'none') {
      const placed = Math.min(lastContactAt + DAY, now - 2 * DAY)
      this.#sheets['public.legal_holds'].add(
        `${this.#sheets['public.legal_holds'].nextId()}\t${id}\t${this.#mark}claim about treatment\t${instant(placed)}\t` +
          (hold === 'released' ? instant(now - DAY) : NULL),
      )
    }
  }

  #trails(): void {
    const { id, given, family } = this.#person
    for (let left = this.#count(0.4); left > 0; left--) {
      this.#sheets['public.audit_log'].add(
        `${this.#sheets['public.audit_log'].nextId()}\t${this.#clinician()}\t${id}\t${this.#random.pick(actions)}\t` +
          `looked at ${given} ${family}\t${this.#at()}`,
      )
    }
    for (let left = this.#count(0.5); left > 0; left--) {
      this.#sheets['public.events'].add(
        `${this.#sheets['public.events'].nextId()}\t${id}\tcontact\t${this.#secret(4)}\t${this.#at()}`,
      )
    }
  }

  /** No draw: whoever was there before it keeps their rows. */
  #stripeCustomer(): string {
    const { full, id } = this.#person
    return full || id % 3 === 1 ? `cus_${this.#options.canary}${String(id).padStart(8, '0')}` : NULL
  }

  #attachment(subjectType: string, subjectId: number): void {
    const { canary } = this.#options
    const id = this.#sheets['public.attachments'].nextId()
    this.#sheets['public.attachments'].add(
      `${id}\t${subjectType}\t${subjectId}\t${canary}attachments/${id}.bin\t${this.#at()}`,
    )
  }

  #has(probability: number): boolean {
    return this.#person.full || this.#random.chance(probability)
  }

  #count(mean: number): number {
    return this.#person.full ? Math.max(2, Math.ceil(mean)) : this.#random.count(mean)
  }

  /** A moment in the time this person was in contact. */
  #moment(): number {
    return this.#person.createdAt + this.#random.below(this.#span)
  }

  #at(): string {
    return instant(this.#moment())
  }

  #text(): string {
    return this.#mark + this.#random.pick(sentences)
  }

  /** Bytes that look encrypted, as COPY reads a bytea. */
  #secret(words: number): string {
    return '\\\\x' + this.#random.hex(words)
  }

  #clinician(): number {
    return clinicianOf(this.#random, this.#options.staff, this.#person.organisation)
  }
}
