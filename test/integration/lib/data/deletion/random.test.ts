/** Random schemas, rows and roots, against a model that follows owned edges row by row. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { checkMap, planDeletion } from '../../../../../lib/data/deletion/index.ts'
import { loadCatalogue } from '../../../../../lib/data/datamap/index.ts'
import { mapOf, playground, runPlan, type Playground } from '../../../../support/stages/datamap.ts'

let play: Playground
beforeAll(async () => {
  play = await playground()
})
afterAll(() => play.close())

const PEOPLE = 5
const ROWS = 8

/** `to` counts tables: 0 is people. Owned edges lead to an earlier table; names and circles go anywhere. */
const link = fc.record({
  to: fc.nat(5),
  kind: fc.constantFrom('owned', 'owned', 'reference', 'keep'),
  nullable: fc.boolean(),
  onDelete: fc.constantFrom('NO ACTION', 'RESTRICT', 'CASCADE', 'SET NULL'),
})
const shape = fc.record({
  tables: fc.array(fc.array(link, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 }),
  cells: fc.infiniteStream(fc.nat(ROWS)),
  roots: fc.uniqueArray(fc.integer({ min: 1, max: PEOPLE }), { minLength: 1, maxLength: 3 }),
  piece: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
})

interface Column {
  table: number
  name: string
  to: number
  kind: 'owned' | 'reference' | 'keep'
  nullable: boolean
  onDelete: string
}
type Row = Record<string, number | null>

const nameOf = (table: number) => (table === 0 ? 'people' : `t${table}`)

/** What was drawn, made sound: the first edge of a table owns it, ownership never runs in a circle, names may be null. */
function columnsOf(tables: z.infer<typeof drawn>): Column[] {
  return tables.flatMap((links, index) =>
    links.map((one, place) => {
      const table = index + 1
      const kind = place === 0 ? 'owned' : one.kind
      const to = kind === 'owned' ? one.to % table : kind === 'keep' ? 0 : one.to % (tables.length + 1)
      const nullable = kind === 'reference' || one.nullable
      // SET NULL on a column that can't be null is no plan's business
      const onDelete = one.onDelete === 'SET NULL' && !nullable ? 'NO ACTION' : one.onDelete
      return { table, name: `c${place}`, to, kind, nullable, onDelete }
    }),
  )
}
const drawn = z.array(
  z.array(
    z.object({
      to: z.number(),
      kind: z.enum(['owned', 'reference', 'keep']),
      nullable: z.boolean(),
      onDelete: z.string(),
    }),
  ),
)

it('removes exactly what ownership reaches, whatever the schema, whole or in pieces', async () => {
  let executed = 0
  await fc.assert(
    fc.asyncProperty(shape, async ({ tables, cells, roots, piece }) => {
      const columns = columnsOf(drawn.parse(tables))
      const count = tables.length
      const data: Row[][] = [Array.from({ length: PEOPLE }, (_, i) => ({ id: i + 1 }))]
      for (let table = 1; table <= count; table += 1)
        data.push(
          Array.from({ length: ROWS }, (_, i) => {
            const row: Row = { id: i + 1 }
            for (const column of columns.filter((one) => one.table === table)) {
              const cell = cells.next().value ?? 0
              const size = column.to === 0 ? PEOPLE : ROWS
              row[column.name] = column.nullable && cell % 3 === 0 ? null : 1 + (cell % size)
            }
            return row
          }),
        )
      const schema = await play.schema(script(columns, data))
      const catalogue = await loadCatalogue(play.db, [schema])
      const entries = {
        people: { pseudonymise: { name: { set: 'gone' } } },
        ...Object.fromEntries(
          Array.from({ length: count }, (_, i) => [
            nameOf(i + 1),
            { edges: columns.filter((column) => column.table === i + 1).map(edge) },
          ]),
        ),
      }
      const bare = mapOf({ schema, catalogue, tables: entries })
      const findings = checkMap(bare, 'test', catalogue)
      // Paths that may be null and rows of several owners are drawn on purpose; anything else refuses the plan, and that is right.
      const accept = findings
        .filter((finding) => ['nullable-path', 'several-owners', 'ambiguous-owner'].includes(finding.kind))
        .map((finding) => ({ finding: finding.id, reason: 'drawn so' }))
      if (accept.length < findings.length) {
        expect(() => planDeletion(bare, 'test', { subject: 'person' }, catalogue)).toThrow(/finding/)
        return
      }
      executed += 1
      const map = mapOf({ schema, catalogue, tables: entries, accept })
      const plan = planDeletion(map, 'test', { subject: 'person' }, catalogue)
      await runPlan(
        play.db,
        plan,
        roots.map((root) => [String(root)]),
        piece,
      )
      expect(await rows(schema, count)).toEqual(model(columns, data, roots))
    }),
    { numRuns: 60 },
  )
  expect(executed).toBeGreaterThan(20)
})

function edge(column: Column) {
  const base = { to: nameOf(column.to), columns: [column.name] }
  if (column.kind === 'owned') return { ...base, kind: 'owned' }
  return column.kind === 'reference'
    ? { ...base, kind: 'reference', then: 'null' }
    : { ...base, kind: 'authored', then: 'keep' }
}

function script(columns: readonly Column[], data: readonly Row[][]): string {
  const statements = ['CREATE TABLE people (id int PRIMARY KEY, name text)']
  for (const [table, content] of data.entries()) {
    const own = columns.filter((column) => column.table === table)
    const listed = own.map((column) => `, ${column.name} int ${column.nullable ? '' : 'NOT NULL'}`)
    if (table > 0) statements.push(`CREATE TABLE ${nameOf(table)} (id int PRIMARY KEY${listed.join('')})`)
    for (const row of content)
      statements.push(
        `INSERT INTO ${nameOf(table)} (${Object.keys(row).join(', ')}) VALUES (${Object.values(row)
          .map((value) => value ?? 'NULL')
          .join(', ')})`,
      )
  }
  for (const column of columns)
    statements.push(
      `ALTER TABLE ${nameOf(column.table)} ADD FOREIGN KEY (${column.name}) REFERENCES ${nameOf(column.to)} ON DELETE ${column.onDelete}`,
    )
  return statements.join(';\n')
}

/** What must be left: people by id and whether they lost their name; the other tables row by row. */
function model(columns: readonly Column[], data: readonly Row[][], roots: readonly number[]): unknown[][] {
  const going = data.map((_, table) => new Set<number | null>(table === 0 ? roots : []))
  for (const [table, content] of data.entries())
    for (const row of content)
      if (
        columns.some(
          (column) =>
            column.table === table &&
            column.kind === 'owned' &&
            going[column.to]?.has(row[column.name] ?? null),
        )
      )
        going[table]?.add(row['id'] ?? null)
  const stays = (table: number, row: Row) => going[table]?.has(row['id'] ?? null) === false
  const kept = new Set(
    columns
      .filter((column) => column.kind === 'keep')
      .flatMap((column) =>
        (data[column.table] ?? []).filter((row) => stays(column.table, row)).map((row) => row[column.name]),
      ),
  )
  return data.map((content, table) =>
    table === 0
      ? content
          .filter((row) => stays(0, row) || kept.has(row['id']))
          .map((row) => ({ id: row['id'], name: stays(0, row) ? null : 'gone' }))
      : content
          .filter((row) => stays(table, row))
          .map((row) => {
            const left = { ...row }
            for (const column of columns)
              if (
                column.table === table &&
                column.kind === 'reference' &&
                going[column.to]?.has(left[column.name] ?? null)
              )
                left[column.name] = null
            return left
          }),
  )
}

async function rows(schema: string, count: number): Promise<unknown[][]> {
  const all: unknown[][] = []
  for (let table = 0; table <= count; table += 1) {
    const found = await play.db.query(
      z.object({ row: z.record(z.string(), z.union([z.number(), z.string(), z.null()])) }),
      `SELECT to_jsonb(t) AS row FROM ${schema}.${nameOf(table)} t ORDER BY id`,
    )
    all.push(found.map(({ row }) => row))
  }
  return all
}
