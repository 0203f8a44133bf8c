/** The deletion plan of a request: the map's own, with the classes of records that this request retains. */
import type { SubjectEntry } from '../../lib/data/datamap/index.ts'
import type { DeletionPlan, SubjectRoot } from '../../lib/data/deletion/index.ts'
import { openPlans, type Plans } from '../../lib/data/erasers/index.ts'
import type { Wanted } from '../../lib/data/rows/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import type { Context } from '../context.ts'

/** Kept from step to step: a context's configuration never changes. */
const known = new WeakMap<Context, Plans>()

export function plansOf(context: Context): Plans {
  const plans =
    known.get(context) ??
    openPlans({
      map: context.config.file,
      classes: context.config.file.erasure.classes,
      target: async (store) => context.target(store),
    })
  known.set(context, plans)
  return plans
}

/** Throws E_MAP_FINDINGS with the whole list, E_NOT_FOUND, and what `context.target` throws. */
export async function planFor(
  context: Context,
  store: string,
  subject: string,
  retained: readonly string[] = [],
): Promise<DeletionPlan> {
  return plansOf(context).of(store, subject, retained)
}

/** Who is meant, whatever findings are open; nothing is destroyed by it. Throws E_MAP_FINDINGS where the root or its key is gone. */
export async function rootFor(context: Context, store: string, subject: string): Promise<SubjectRoot> {
  return plansOf(context).root(store, subject)
}

/** Throws E_NOT_FOUND. */
export function subjectOf({ config }: Pick<Context, 'config'>, kind: string): SubjectEntry {
  const { subjects } = config.file
  const entry = Object.hasOwn(subjects, kind) ? subjects[kind] : undefined
  if (entry !== undefined) return entry
  throw new LetheError('E_NOT_FOUND', {
    message: `The map has no subject ${kind}.`,
    next: `Name one of: ${Object.keys(subjects).join(', ')}.`,
  })
}

export function wantedOf(subject: SubjectEntry): Wanted {
  return {
    identifiers: Object.fromEntries(
      Object.entries(subject.identifiers).map(([name, { sql }]) => [name, sql]),
    ),
    contact: subject.contact ?? null,
  }
}

/** Classes of records that tables of this subject's plan belong to. */
export function classesOf({ config }: Pick<Context, 'config'>, plan: DeletionPlan): string[] {
  const tables = config.file.tables[plan.store] ?? {}
  const names = plan.tables.flatMap(({ table }) => {
    const entry = tables[`${table.schema}.${table.table}`]
    return entry?.class === undefined ? [] : [entry.class]
  })
  return [...new Set(names)].sort()
}
