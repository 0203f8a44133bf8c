export * from './schema.ts'
export * from './plan.ts'
export {
  loadCatalogue,
  type Catalogue,
  type CatalogueSource,
  type CatalogueTable,
  type ForeignKey,
} from './catalogue.ts'
export { checkMap } from './check.ts'
export { explainPlan } from './explain.ts'
export { draftPlan, planDeletion, refusal, type PlanTarget } from './planner.ts'
export { otherStore, type OtherStore } from './other-store.ts'
export {
  parseTableName,
  sqlColumn,
  sqlIdentifier,
  sqlLiteral,
  sqlTable,
  tableKey,
  type TableKey,
} from './names.ts'
export { mapVersion } from './version.ts'
