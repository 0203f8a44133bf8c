/** Whether evidence can be changed all the same: triggers refuse it to everyone, but the owner can drop a trigger. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { appendOnlyTables } from './rights.ts'

/** `changeable`: by the connected role. */
export async function appendOnlyState(
  control: Queryable,
): Promise<{ changeable: boolean; triggersMissing: boolean }> {
  const [row] = await control.query(
    z.object({ can: z.boolean(), triggers: z.coerce.number() }),
    `SELECT bool_or(has_table_privilege(t, 'UPDATE') OR has_table_privilege(t, 'DELETE') OR has_table_privilege(t, 'TRUNCATE')) AS can,
       (SELECT count(*) FROM pg_trigger WHERE tgrelid = ANY ($1::text[]::regclass[])
          AND tgname LIKE 'append_only%' AND tgenabled IN ('O', 'A')) AS triggers
     FROM unnest($1::text[]) AS t`,
    [appendOnlyTables],
  )
  return {
    changeable: row?.can === true,
    triggersMissing: row !== undefined && row.triggers < 2 * appendOnlyTables.length,
  }
}
