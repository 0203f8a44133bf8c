/** Rows in the making: one sheet a table, holding lines of COPY text until they are sent. */

export const NULL = '\\N'

/** The columns of each table in the order in which patient.ts and staff.ts write them. */
const columns = {
  'public.organisations': 'id, name, closed_at, created_at',
  'public.clinicians': 'id, organisation_id, full_name, email, registration_number, left_at, created_at',
  'public.medications': 'id, name, controlled',
  'public.addresses': 'id, line1, city, postcode',
  'public.patients':
    'id, organisation_id, nhs_number, given_name, family_name, date_of_birth, died_on, email, phone, address_id, ' +
    'diagnosis_encrypted, last_contact_at, deleted_at, merged_into_id, portal_open, stripe_customer, created_at',
  'public.sessions': 'id, patient_id, token, ip, user_agent, created_at, expires_at',
  'public.preferences': 'patient_id, display_name, settings',
  'public.emergency_contacts': 'id, patient_id, full_name, phone, relationship',
  'public.family_links': 'patient_id, related_patient_id, relationship',
  'public.appointments': 'id, patient_id, clinician_id, starts_at, status, reason',
  'public.episodes': 'id, patient_id, title, current_referral_id, opened_at',
  'public.referrals': 'id, episode_id, referred_to, letter, sent_at',
  'public.messages': 'id, patient_id, author_clinician_id, reply_to_id, body, sent_at',
  'public.prescriptions': 'id, patient_id, appointment_id, controlled, instructions, issued_at',
  'public.prescription_items': 'id, prescription_id, medication_id, quantity, directions',
  'public.observations': 'id, patient_ref, code, value, note, observed_at',
  'public.vitals': 'id, patient_id, recorded_at, heart_rate, systolic, diastolic',
  'public.vital_alerts': 'id, vital_id, vital_recorded_at, level, raised_at',
  'public.device_readings': 'id, patient_id, device_serial, value, read_at',
  'public.lab_results': 'id, nhs_number, test, result, reported_at',
  'public.allergies': 'id, patient_id, substance, severity, noted_on',
  'public.care_plans': 'id, patient_a_id, patient_b_id, summary, updated_at',
  'public.waiting_list': 'id, patient_id, clinician_id, priority, added_at',
  'public.folders': 'id, patient_id, parent_folder_id, name',
  'public.documents': 'id, patient_ref, folder_id, title, file_key, uploaded_at',
  'public.attachments': 'id, subject_type, subject_id, file_key, created_at',
  'public."ClinicNotes"': '"noteId", "patientId", "authorId", "noteText", "createdAt"',
  'public.consents': 'id, patient_id, purpose, signed_name, granted_at, withdrawn_at',
  'public.legal_holds': 'id, patient_id, reason, placed_at, released_at',
  'public.audit_log': 'id, actor_clinician_id, patient_id, action, detail, at',
  'public.events': 'id, patient_id, kind, payload_encrypted, at',
  'billing.invoices': 'id, patient_id, appointment_id, bill_to_name, bill_to_email, amount, issued_on',
  'billing.invoice_lines': 'invoice_id, line_number, description, amount',
} as const

export type TableKey = keyof typeof columns

export class Sheet {
  readonly copyStatement: string
  /** The identity column, where the table has one. */
  readonly idColumn: string | null
  rows = 0
  #text = ''
  #lastId = 0

  constructor(table: string, list: string) {
    const first = list.slice(0, list.indexOf(','))
    this.copyStatement = `COPY ${table} (${list}) FROM STDIN`
    this.idColumn = first === 'id' || first === '"noteId"' ? first.replaceAll('"', '') : null
  }

  /** Ids are given here and not by the database, so that rows can name each other before they are sent. */
  nextId(): number {
    this.#lastId += 1
    return this.#lastId
  }

  get lastId(): number {
    return this.#lastId
  }

  /** Values must hold no tab, newline or backslash of their own: everything the clinic writes is plain ASCII. */
  add(line: string): void {
    this.rows += 1
    this.#text += line + '\n'
  }

  /** Characters waiting to be sent. */
  get size(): number {
    return this.#text.length
  }

  take(): string {
    const text = this.#text
    this.#text = ''
    return text
  }
}

export type Sheets = Readonly<Record<TableKey, Sheet>>

export function newSheets(): Sheets {
  const sheet = (table: TableKey) => new Sheet(table, columns[table])
  return {
    'public.organisations': sheet('public.organisations'),
    'public.clinicians': sheet('public.clinicians'),
    'public.medications': sheet('public.medications'),
    'public.addresses': sheet('public.addresses'),
    'public.patients': sheet('public.patients'),
    'public.sessions': sheet('public.sessions'),
    'public.preferences': sheet('public.preferences'),
    'public.emergency_contacts': sheet('public.emergency_contacts'),
    'public.family_links': sheet('public.family_links'),
    'public.appointments': sheet('public.appointments'),
    'public.episodes': sheet('public.episodes'),
    'public.referrals': sheet('public.referrals'),
    'public.messages': sheet('public.messages'),
    'public.prescriptions': sheet('public.prescriptions'),
    'public.prescription_items': sheet('public.prescription_items'),
    'public.observations': sheet('public.observations'),
    'public.vitals': sheet('public.vitals'),
    'public.vital_alerts': sheet('public.vital_alerts'),
    'public.device_readings': sheet('public.device_readings'),
    'public.lab_results': sheet('public.lab_results'),
    'public.allergies': sheet('public.allergies'),
    'public.care_plans': sheet('public.care_plans'),
    'public.waiting_list': sheet('public.waiting_list'),
    'public.folders': sheet('public.folders'),
    'public.documents': sheet('public.documents'),
    'public.attachments': sheet('public.attachments'),
    'public."ClinicNotes"': sheet('public."ClinicNotes"'),
    'public.consents': sheet('public.consents'),
    'public.legal_holds': sheet('public.legal_holds'),
    'public.audit_log': sheet('public.audit_log'),
    'public.events': sheet('public.events'),
    'billing.invoices': sheet('billing.invoices'),
    'billing.invoice_lines': sheet('billing.invoice_lines'),
  }
}
