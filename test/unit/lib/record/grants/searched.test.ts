import { expect, test } from 'vitest'
import { grantsSql } from '../../../../../lib/record/grants/index.ts'

test('The worker may read the texts that are searched, also of tables that no plan reaches, and change none.', () => {
  const sql = grantsSql('target', { searched: ['public.letters', 'public."odd.name"'] })
  expect(sql).toContain('GRANT SELECT ON "public"."letters" TO "lethe_worker";')
  expect(sql).toContain('GRANT SELECT ON "public"."odd.name" TO "lethe_worker";')
  expect(sql).not.toMatch(/GRANT [A-Z, ]*(UPDATE|DELETE)[A-Z, ]* ON "public"\."letters"/)
})
