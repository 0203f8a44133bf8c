/** What an erasure request takes of a subject's own database: its plan's rights, those of the access cut, and readable SQL of the map. */
import { z } from 'zod'
import type { Config } from '../../lib/config/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import { parseTableName, sqlTable, type Catalogue, type SubjectEntry } from '../../lib/data/datamap/index.ts'
import { planDeletion, mapRetaining, retainableClasses } from '../../lib/data/deletion/index.ts'
import type { OpenedStore } from '../../lib/data/erasers/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { missingRights, type RoleName } from '../../lib/record/grants/index.ts'
import { attempt, examine, type Finding } from './finding.ts'
import { a } from './rights.ts'
import { examineLeads } from './stores.ts'

export async function examineSubjects(
  config: Config,
  store: string,
  target: Database,
  catalogue: Catalogue,
  others: ReadonlyMap<string, OpenedStore>,
  role: RoleName,
): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [kind, subject] of Object.entries(config.file.subjects)) {
    if (subject.store !== store) continue
    findings.push(
      ...(await attempt('subject', kind, async () => {
        const plan = planDeletion(config.file, store, { subject: kind }, catalogue)
        // what may be retained must fit the map too: found now, not when somebody has asked
        const { classes } = config.file.erasure
        const retaining = mapRetaining(config.file, classes, retainableClasses(classes))
        const kept = planDeletion(retaining, store, { subject: kind }, catalogue)
        const keys = plan.key.map(({ name }) => name)
        return [
          // an auditor's login reads Lethe's record, and nothing of anybody
          ...(role === 'auditor'
            ? []
            : [
                ...rights(kind, role, await missingRights(target, [plan, kept], [subject.access], role)),
                ...(await reads(kind, subject, target)),
              ]),
          ...examineLeads(subject, kind, keys, others),
        ]
      })),
    )
  }
  return findings
}

function rights(
  kind: string,
  role: RoleName,
  missing: readonly { table: string; rights: readonly string[] }[],
): Finding[] {
  const check = examine('subject-rights', kind)
  return missing.length === 0
    ? check.ok(`the role has every right that an erasure request takes of ${a(role)}`)
    : check.error(
        `The role lacks, for erasure requests as ${a(role)}: ${missing.map(({ table, rights }) => `${rights.join(', ')} on ${table}`).join('; ')}.`,
        'Print them with `lethe grants --sql` and run them as the owner of the tables.',
      )
}

/** The map's own SQL may name tables that no plan knows. PostgreSQL checks rights before the first row, and here there is none. */
async function reads(kind: string, subject: SubjectEntry, target: Database): Promise<Finding[]> {
  const root = quoted(subject.root)
  const { access, contact } = subject
  const statements: [string, string][] = [
    ...Object.entries(subject.identifiers).map(([name, { sql }]): [string, string] => [
      `identifiers.${name}`,
      `SELECT (${sql}) AS x FROM ${root} root LIMIT 0`,
    ]),
    ...(contact === undefined
      ? []
      : ([['contact', `SELECT (${contact}) AS x FROM ${root} root LIMIT 0`]] as [string, string][])),
    ...subject.holds.map(({ name, sql }): [string, string] => [
      `holds.${name}`,
      `SELECT (${sql}) AS x FROM ${root} root LIMIT 0`,
    ]),
    ...[...access.set, ...access.delete].map(({ table, where }): [string, string] => [
      `access, ${table}`,
      `SELECT (${where}) AS x FROM ${root} root, ${quoted(table)} t LIMIT 0`,
    ]),
  ]
  const findings: Finding[] = []
  for (const [what, sql] of statements)
    try {
      await target.query(z.object({}), sql)
    } catch (error) {
      if (!(error instanceof LetheError) || error.exitCode === 20) throw error
      findings.push(
        ...examine('subject-sql', kind).error(
          `${what} can't be read: ${error.message}`,
          error.code === 'E_DATABASE_PRIVILEGE'
            ? "Grant SELECT on the tables that it names to the worker's and the operator's role."
            : 'Mend the SQL in the map.',
        ),
      )
    }
  return findings
}

function quoted(text: string): string {
  const name = parseTableName(text)
  return name === null ? text : sqlTable(name)
}
