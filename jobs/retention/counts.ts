/** Counts by name (a table, a reason), as proposals, batches and reports keep them. */
export type Counts = Readonly<Record<string, number>>

export function total(counts: Counts): number {
  return Object.values(counts).reduce((all, count) => all + count, 0)
}

export function added(counts: Counts, more: Counts): Record<string, number> {
  const all = { ...counts }
  for (const [name, count] of Object.entries(more)) all[name] = (all[name] ?? 0) + count
  return all
}
