import type { DeletionPlan } from '../../lib/data/deletion/index.ts'
import { postgresEraser } from '../../lib/data/erasers/index.ts'
import { raiseFence } from '../../lib/data/rows/index.ts'
import { idOf, person } from '../support/stages/erasing.ts'
import { openSmallClinic } from '../support/stages/small-clinic.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

describeEraser('for PostgreSQL', async (): Promise<EraserFixture<DeletionPlan, 'retain' | 'overtaken'>> => {
  const clinic = await openSmallClinic()
  const { db, plan } = clinic
  return {
    eraser: postgresEraser(db, {
      pseudonymKey: 'secret of the tests',
      beforeDestruction: () => Promise.resolve(),
    }),
    plan,
    stranger: person(999_999),
    async reset() {
      await clinic.empty()
      await db.execute(`DROP TABLE IF EXISTS obstacles`)
      await db.execute(`DROP FUNCTION IF EXISTS swallow CASCADE`)
    },
    async seed(count) {
      const ids = Array.from({ length: count }, (_, place) => place + 1)
      await clinic.addPeople(ids)
      return ids.map(person)
    },
    async request(limit) {
      const run = await clinic.run()
      return { runId: run.id, fence: 1n, limit }
    },
    // The statement succeeds, and the rows stay: a trigger that says NULL, on a table without a foreign key.
    async lieAbout(subject) {
      await db.execute(
        `CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF OLD.person_ref = ${Number(idOf(subject))} THEN RETURN NULL; END IF; RETURN OLD; END $$`,
      )
      await db.execute(`CREATE TRIGGER lies BEFORE DELETE ON samples FOR EACH ROW EXECUTE FUNCTION swallow()`)
    },
    async refuse(subject) {
      await db.execute(`CREATE TABLE obstacles (person_id bigint REFERENCES people)`)
      await db.execute(`INSERT INTO obstacles VALUES ($1)`, [idOf(subject)])
      return async () => {
        await db.execute(`DROP TABLE obstacles`)
      }
    },
    async retain(subject) {
      await db.execute(
        `INSERT INTO invoices (person_id, name, keep_until) VALUES ($1, 'x', now() + interval '1 year')`,
        [idOf(subject)],
      )
    },
    async overtaken() {
      const run = await clinic.run()
      await raiseFence(db, run.id, 2n)
      return { runId: run.id, fence: 1n, limit: 1000 }
    },
    close: () => clinic.close(),
  }
})
