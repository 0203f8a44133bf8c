/** `lethe datamap …`: is the map true, and what follows from it. Needs the stores only, nothing of Lethe's own. */
import type { PlanTarget } from '../../lib/data/deletion/index.ts'
import type { Config } from '../../lib/config/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { count } from './output.ts'
import { postgresStores, readConfig, withStore, type AddCommands, type Session } from './session.ts'

export const datamapCommands: AddCommands = (program, session) => {
  const datamap = program.command('datamap').description('the data map against the live catalogue')
  datamap
    .command('check [store]')
    .description('everything unclassified, vanished or dangerous; any open finding fails (exit 12)')
    .action((store: string | undefined) => check(session, store))
  datamap
    .command('explain <subject>')
    .description(
      'the deletion plan of a kind of subject, or of a policy: order, reasons, statements, what is not covered',
    )
    .action((subject: string) => explain(session, subject))
  datamap
    .command('schema')
    .description('the JSON Schema of lethe.yaml, for editors')
    .action(() => schema(session))
}

async function check(session: Session, only: string | undefined): Promise<void> {
  const { checkMap } = await import('../../lib/data/deletion/index.ts')
  const { storeCatalogue } = await import('../../lib/data/datamap/index.ts')
  const config = await readConfig(session)
  const stores = only === undefined ? postgresStores(config) : [only]
  const findings = []
  for (const store of stores) {
    const catalogue = await withStore(config, store, (database) =>
      storeCatalogue(database, config.file, store),
    )
    findings.push(...checkMap(config.file, store, catalogue, policyTables(config, store)))
  }
  const open = findings.filter((finding) => finding.accepted === null)
  const { output } = session
  output.data(
    { stores, findings },
    [
      ...findings.map(
        (finding) =>
          `${output.bold(finding.accepted === null ? 'open' : 'accepted')} ${finding.id}\n  ${finding.message}\n  ${
            finding.accepted === null ? `mend: ${finding.mend}` : `reason: ${finding.accepted}`
          }`,
      ),
      `${count(open.length)} open, ${count(findings.length - open.length)} accepted, in ${stores.join(', ')}.`,
    ].join('\n'),
  )
  if (open.length > 0)
    throw new LetheError('E_MAP_FINDINGS', {
      message: `The data map has ${open.length} open finding${open.length === 1 ? '' : 's'}, listed above.`,
      facts: { open: open.map((finding) => finding.id) },
    })
}

function policyTables(config: Config, store: string): Extract<PlanTarget, { table: string }>[] {
  return Object.values(config.policies).flatMap(({ table }) =>
    table?.store === store ? [{ table: table.name, key: table.key }] : [],
  )
}

async function explain(session: Session, name: string): Promise<void> {
  const { explainPlan, planDeletion } = await import('../../lib/data/deletion/index.ts')
  const { storeCatalogue } = await import('../../lib/data/datamap/index.ts')
  const config = await readConfig(session)
  const { store, target } = resolve(config, name)
  const catalogue = await withStore(config, store, (database) => storeCatalogue(database, config.file, store))
  const plan = planDeletion(config.file, store, target, catalogue)
  session.output.data(plan, explainPlan(plan))
}

function resolve(config: Config, name: string): { store: string; target: PlanTarget } {
  const subject = Object.hasOwn(config.file.subjects, name) ? config.file.subjects[name] : undefined
  if (subject !== undefined) return { store: subject.store, target: { subject: name } }
  const policy = Object.hasOwn(config.policies, name) ? config.policies[name] : undefined
  if (policy?.subject !== undefined) return { store: policy.store, target: { subject: policy.subject } }
  if (policy?.table !== undefined)
    return { store: policy.store, target: { table: policy.table.name, key: policy.table.key } }
  throw new LetheError('E_NOT_FOUND', {
    message: `${config.path} has no subject or policy ${name}.`,
    next: `Name one of: ${[...Object.keys(config.file.subjects), ...Object.keys(config.policies)].join(', ')}.`,
  })
}

async function schema(session: Session): Promise<void> {
  const { configJsonSchema } = await import('../../lib/config/index.ts')
  const value = configJsonSchema()
  session.output.data(value, JSON.stringify(value, null, 2))
}
