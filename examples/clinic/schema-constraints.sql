-- The second half of the clinic's schema: keys, foreign keys, indexes, the trigger and the materialised view. Applied to
-- an empty database right after schema.sql, or after a bulk load, when building is much faster than maintaining.

-- ---------------------------------------------------------------- keys

ALTER TABLE public.organisations ADD PRIMARY KEY (id);
ALTER TABLE public.clinicians ADD PRIMARY KEY (id);
ALTER TABLE public.addresses ADD PRIMARY KEY (id);
ALTER TABLE public.patients ADD PRIMARY KEY (id);
ALTER TABLE public.patients ADD CONSTRAINT patients_nhs_number_key UNIQUE (nhs_number);
ALTER TABLE public.sessions ADD PRIMARY KEY (id);
ALTER TABLE public.preferences ADD PRIMARY KEY (patient_id);
ALTER TABLE public.emergency_contacts ADD PRIMARY KEY (id);
ALTER TABLE public.family_links ADD PRIMARY KEY (patient_id, related_patient_id);
ALTER TABLE public.medications ADD PRIMARY KEY (id);
ALTER TABLE public.appointments ADD PRIMARY KEY (id);
ALTER TABLE public.episodes ADD PRIMARY KEY (id);
ALTER TABLE public.referrals ADD PRIMARY KEY (id);
ALTER TABLE public.messages ADD PRIMARY KEY (id);
ALTER TABLE public.prescriptions ADD PRIMARY KEY (id);
ALTER TABLE public.prescription_items ADD PRIMARY KEY (id);
ALTER TABLE public.observations ADD PRIMARY KEY (id);
ALTER TABLE public.vitals ADD PRIMARY KEY (id, recorded_at);
ALTER TABLE public.vital_alerts ADD PRIMARY KEY (id);
ALTER TABLE public.device_readings ADD PRIMARY KEY (id);
ALTER TABLE public.lab_results ADD PRIMARY KEY (id);
ALTER TABLE public.allergies ADD PRIMARY KEY (id);
ALTER TABLE public.care_plans ADD PRIMARY KEY (id);
ALTER TABLE public.waiting_list ADD PRIMARY KEY (id);
ALTER TABLE public.folders ADD PRIMARY KEY (id);
ALTER TABLE public.documents ADD PRIMARY KEY (id);
ALTER TABLE public.attachments ADD PRIMARY KEY (id);
ALTER TABLE public."ClinicNotes" ADD PRIMARY KEY ("noteId");
ALTER TABLE public.consents ADD PRIMARY KEY (id);
ALTER TABLE public.legal_holds ADD PRIMARY KEY (id);
ALTER TABLE public.audit_log ADD PRIMARY KEY (id);
ALTER TABLE public.events ADD PRIMARY KEY (id);
ALTER TABLE billing.invoices ADD PRIMARY KEY (id);
ALTER TABLE billing.invoice_lines ADD PRIMARY KEY (invoice_id, line_number);

-- ---------------------------------------------------------------- indexes (device_readings.patient_id has none, on purpose)

CREATE INDEX clinicians_organisation ON public.clinicians (organisation_id);
CREATE UNIQUE INDEX patients_email ON public.patients (email);
CREATE INDEX patients_organisation ON public.patients (organisation_id);
CREATE INDEX patients_address ON public.patients (address_id);
CREATE INDEX patients_merged_into ON public.patients (merged_into_id) WHERE merged_into_id IS NOT NULL;
CREATE INDEX patients_deleted_at ON public.patients (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX patients_last_contact ON public.patients (last_contact_at);
CREATE INDEX sessions_patient ON public.sessions (patient_id);
CREATE INDEX emergency_contacts_patient ON public.emergency_contacts (patient_id);
CREATE INDEX family_links_related ON public.family_links (related_patient_id);
CREATE INDEX appointments_patient ON public.appointments (patient_id);
CREATE INDEX appointments_clinician ON public.appointments (clinician_id);
CREATE INDEX episodes_patient ON public.episodes (patient_id);
CREATE INDEX episodes_current_referral ON public.episodes (current_referral_id);
CREATE INDEX referrals_episode ON public.referrals (episode_id);
CREATE INDEX messages_patient ON public.messages (patient_id);
CREATE INDEX messages_author ON public.messages (author_clinician_id);
CREATE INDEX messages_reply_to ON public.messages (reply_to_id);
CREATE INDEX prescriptions_patient ON public.prescriptions (patient_id);
CREATE INDEX prescriptions_appointment ON public.prescriptions (appointment_id);
CREATE INDEX prescription_items_prescription ON public.prescription_items (prescription_id);
CREATE INDEX prescription_items_medication ON public.prescription_items (medication_id);
CREATE INDEX observations_patient_ref ON public.observations (patient_ref);
CREATE INDEX vitals_patient ON public.vitals (patient_id);
CREATE INDEX vital_alerts_vital ON public.vital_alerts (vital_id, vital_recorded_at);
CREATE INDEX lab_results_nhs_number ON public.lab_results (nhs_number);
CREATE INDEX allergies_patient ON public.allergies (patient_id);
CREATE INDEX care_plans_patient_a ON public.care_plans (patient_a_id);
CREATE INDEX care_plans_patient_b ON public.care_plans (patient_b_id);
CREATE INDEX waiting_list_patient ON public.waiting_list (patient_id);
CREATE INDEX waiting_list_clinician ON public.waiting_list (clinician_id);
CREATE INDEX folders_patient ON public.folders (patient_id);
CREATE INDEX folders_parent ON public.folders (parent_folder_id);
CREATE INDEX documents_patient_ref ON public.documents (patient_ref);
CREATE INDEX documents_folder ON public.documents (folder_id);
CREATE INDEX attachments_subject ON public.attachments (subject_type, subject_id);
CREATE INDEX "ClinicNotes_patientId" ON public."ClinicNotes" ("patientId");
CREATE INDEX "ClinicNotes_authorId" ON public."ClinicNotes" ("authorId");
CREATE INDEX consents_patient ON public.consents (patient_id);
CREATE INDEX legal_holds_patient ON public.legal_holds (patient_id);
CREATE INDEX audit_log_actor ON public.audit_log (actor_clinician_id);
CREATE INDEX audit_log_patient ON public.audit_log (patient_id);
CREATE INDEX events_patient ON public.events (patient_id);
CREATE INDEX invoices_patient ON billing.invoices (patient_id);
CREATE INDEX invoices_appointment ON billing.invoices (appointment_id);

-- ---------------------------------------------------------------- foreign keys

ALTER TABLE public.clinicians ADD FOREIGN KEY (organisation_id) REFERENCES public.organisations;
ALTER TABLE public.patients
  ADD FOREIGN KEY (organisation_id) REFERENCES public.organisations,
  ADD FOREIGN KEY (address_id) REFERENCES public.addresses,
  ADD FOREIGN KEY (merged_into_id) REFERENCES public.patients;
ALTER TABLE public.sessions ADD FOREIGN KEY (patient_id) REFERENCES public.patients;
ALTER TABLE public.preferences ADD FOREIGN KEY (patient_id) REFERENCES public.patients;
ALTER TABLE public.emergency_contacts ADD FOREIGN KEY (patient_id) REFERENCES public.patients;
ALTER TABLE public.family_links
  ADD FOREIGN KEY (patient_id) REFERENCES public.patients,
  ADD FOREIGN KEY (related_patient_id) REFERENCES public.patients;
ALTER TABLE public.appointments
  ADD FOREIGN KEY (patient_id) REFERENCES public.patients,
  ADD FOREIGN KEY (clinician_id) REFERENCES public.clinicians;
ALTER TABLE public.episodes
  ADD FOREIGN KEY (patient_id) REFERENCES public.patients,
  ADD FOREIGN KEY (current_referral_id) REFERENCES public.referrals;
ALTER TABLE public.referrals ADD FOREIGN KEY (episode_id) REFERENCES public.episodes;
ALTER TABLE public.messages
  ADD FOREIGN KEY (patient_id) REFERENCES public.patients,
  ADD FOREIGN KEY (author_clinician_id) REFERENCES public.clinicians,
  ADD FOREIGN KEY (reply_to_id) REFERENCES public.messages;
ALTER TABLE public.prescriptions
  ADD FOREIGN KEY (patient_id) REFERENCES public.patients,
  ADD FOREIGN KEY (appointment_id) REFERENCES public.appointments ON DELETE SET NULL;
ALTER TABLE public.prescription_items
  ADD FOREIGN KEY (prescription_id) REFERENCES public.prescriptions ON DELETE CASCADE,
  ADD FOREIGN KEY (medication_id) REFERENCES public.medications;
ALTER TABLE public.vitals ADD FOREIGN KEY (patient_id) REFERENCES public.patients;
ALTER TABLE public.vital_alerts
  ADD FOREIGN KEY (vital_id, vital_recorded_at) REFERENCES public.vitals (id, recorded_at);
ALTER TABLE public.device_readings ADD FOREIGN KEY (patient_id) REFERENCES public.patients;
ALTER TABLE public.allergies ADD FOREIGN KEY (patient_id) REFERENCES public.patients;
ALTER TABLE public.care_plans
  ADD FOREIGN KEY (patient_a_id) REFERENCES public.patients,
  ADD FOREIGN KEY (patient_b_id) REFERENCES public.patients;
ALTER TABLE public.waiting_list
  ADD FOREIGN KEY (patient_id) REFERENCES public.patients,
  ADD FOREIGN KEY (clinician_id) REFERENCES public.clinicians;
ALTER TABLE public.folders
  ADD FOREIGN KEY (patient_id) REFERENCES public.patients,
  ADD FOREIGN KEY (parent_folder_id) REFERENCES public.folders;
ALTER TABLE public.documents ADD FOREIGN KEY (folder_id) REFERENCES public.folders;
ALTER TABLE public."ClinicNotes"
  ADD FOREIGN KEY ("patientId") REFERENCES public.patients,
  ADD FOREIGN KEY ("authorId") REFERENCES public.clinicians;
ALTER TABLE public.consents ADD FOREIGN KEY (patient_id) REFERENCES public.patients;
ALTER TABLE public.legal_holds ADD FOREIGN KEY (patient_id) REFERENCES public.patients;
ALTER TABLE billing.invoices
  ADD FOREIGN KEY (patient_id) REFERENCES public.patients,
  ADD FOREIGN KEY (appointment_id) REFERENCES public.appointments;
ALTER TABLE billing.invoice_lines ADD FOREIGN KEY (invoice_id) REFERENCES billing.invoices;

-- ---------------------------------------------------------------- the append-only trigger and the view

CREATE FUNCTION public.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON public.events
  FOR EACH ROW EXECUTE FUNCTION public.refuse_change();

-- Derived data: it goes on counting a purged patient until it is refreshed.
CREATE MATERIALIZED VIEW public.monthly_activity AS
  SELECT p.organisation_id, date_trunc('month', a.starts_at AT TIME ZONE 'UTC')::date AS month,
    count(*) AS appointments, count(DISTINCT p.id) AS patients
  FROM public.appointments a JOIN public.patients p ON p.id = a.patient_id
  GROUP BY 1, 2;
CREATE UNIQUE INDEX monthly_activity_key ON public.monthly_activity (organisation_id, month);
