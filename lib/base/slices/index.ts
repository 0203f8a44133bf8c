/** Long lists, a part at a time. */

export function slices<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, turn) =>
    items.slice(turn * size, (turn + 1) * size),
  )
}

/** The results in the order of the items, `width` of them worked on at a time. Throws the first failure. */
export async function abreast<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => R | Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  for (const some of slices(items, width)) results.push(...(await Promise.all(some.map(work))))
  return results
}
