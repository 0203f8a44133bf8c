/** What a search for personal data adds to the clinic: keys that can be recognised, and an application that tells too much. */
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { parse } from 'yaml'
import { z } from 'zod'

/** Patients get keys that nothing else looks like; whatever points at them follows. */
export async function moveKeys(clinicUrl: string, firstKey: bigint): Promise<void> {
  const map = z
    .object({
      tables: z.object({
        clinic: z.record(
          z.string(),
          z.object({
            edges: z
              .array(
                z.object({
                  to: z.string(),
                  columns: z.array(z.string()),
                  side: z.string().optional(),
                  references: z.array(z.string()).optional(),
                }),
              )
              .default([]),
          }),
        ),
      }),
    })
    .parse(parse(readFileSync(new URL('../../../examples/clinic/lethe.yaml', import.meta.url), 'utf8')))
  const quoted = (name: string) =>
    name
      .split('.')
      .map((part) => pg.escapeIdentifier(part))
      .join('.')
  const statements = Object.entries(map.tables.clinic).flatMap(([table, { edges }]) =>
    edges
      .filter(
        (edge) => edge.to === 'public.patients' && edge.references === undefined && edge.side !== 'parent',
      )
      .map(
        ({ columns: [column = ''] }) =>
          `UPDATE ${quoted(table)} SET ${quoted(column)} = ${quoted(column)} + ${firstKey}
           ${table === 'public.attachments' ? `WHERE subject_type = 'patient'` : ''}`,
      ),
  )
  await sql(
    clinicUrl,
    [
      'BEGIN',
      'SET LOCAL session_replication_role = replica',
      ...statements,
      `UPDATE public.events SET patient_id = patient_id + ${firstKey}`,
      `UPDATE public.patients SET id = id + ${firstKey}, merged_into_id = merged_into_id + ${firstKey}`,
      'COMMIT',
    ].join('; '),
  )
}

/** A trigger of the application that refuses some patients, telling everything it knows about them. */
export async function setTraps(clinicUrl: string): Promise<void> {
  await sql(
    clinicUrl,
    `CREATE SCHEMA trap; CREATE TABLE trap.targets (id bigint PRIMARY KEY, code text NOT NULL);
     CREATE FUNCTION trap.spring() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE refusal text := (SELECT code FROM trap.targets WHERE id = OLD.id);
     BEGIN
       IF refusal IS NULL THEN RETURN OLD; END IF;
       RAISE EXCEPTION 'patient % of % stays', OLD.id, OLD.email USING ERRCODE = refusal, CONSTRAINT = 'trap', TABLE = 'patients',
         DETAIL = format('Failing row contains (%s, %s, %s).', OLD.id, OLD.given_name, OLD.email), HINT = 'ask ' || OLD.email;
     END $$;
     CREATE TRIGGER spring BEFORE DELETE ON public.patients FOR EACH ROW EXECUTE FUNCTION trap.spring();`,
  )
}

export async function sql(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return z.array(z.record(z.string(), z.unknown())).parse((await client.query(text)).rows ?? [])
  } finally {
    await client.end()
  }
}
