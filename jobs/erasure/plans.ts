/** The deletion plan of a request: the map's own, with the classes of records that this request retains. */
import { loadCatalogue, type Catalogue, type SubjectEntry } from '../../lib/data/datamap/index.ts'
import { planDeletion, type DeletionPlan } from '../../lib/data/deletion/index.ts'
import { monotonicMs } from '../../lib/base/clock/index.ts'
import type { Wanted } from '../../lib/data/rows/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import type { Context } from '../context.ts'
import { mapRetaining } from '../retained-classes.ts'

/** A catalogue is as fresh as a step is long. */
const FRESH_MS = 5_000
/** Made once of each catalogue: a context's configuration never changes. */
const plans = new WeakMap<Catalogue, Map<string, DeletionPlan>>()
const catalogues = new WeakMap<Context, Map<string, { at: number; catalogue: Promise<Catalogue> }>>()

/** Throws E_MAP_FINDINGS with the whole list, E_NOT_FOUND, and what `context.target` throws. */
export async function planFor(
  context: Context,
  store: string,
  subject: string,
  retained: readonly string[] = [],
): Promise<DeletionPlan> {
  const catalogue = await catalogueOf(context, store)
  const made = plans.get(catalogue) ?? new Map<string, DeletionPlan>()
  plans.set(catalogue, made)
  const name = [subject, ...retained].join(' ')
  try {
    const plan =
      made.get(name) ??
      planDeletion(mapRetaining(context.config.file, retained), store, { subject }, catalogue)
    made.set(name, plan)
    return plan
  } catch (error) {
    // what was wrong with the tables may be mended by the next try
    catalogues.get(context)?.delete(store)
    throw error
  }
}

async function catalogueOf(context: Context, store: string): Promise<Catalogue> {
  const known = catalogues.get(context) ?? new Map<string, { at: number; catalogue: Promise<Catalogue> }>()
  catalogues.set(context, known)
  const found = known.get(store)
  if (found !== undefined && monotonicMs() - found.at < FRESH_MS) return found.catalogue
  const entry = context.config.file.stores[store]
  const catalogue = context
    .target(store)
    .then((target) => loadCatalogue(target, entry?.kind === 'postgres' ? entry.schemas : []))
  known.set(store, { at: monotonicMs(), catalogue })
  catalogue.catch(() => known.delete(store))
  return catalogue
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
