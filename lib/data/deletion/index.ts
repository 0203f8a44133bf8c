/** The planner: catalogue and map become a typed plan of deletion, with its evidence. */
export { checkMap } from './findings/check.ts'
export { explainPlan } from './findings/explain.ts'
export type { DeletionPlan, RootKey, KeyColumn, OwnerSearch, PlanStep, PlanTable, Finding } from './plan.ts'
export { planDeletion, type PlanTarget, draftPlan } from './planner.ts'
export { mapRetaining, retainableClasses, type RecordClasses } from './retaining.ts'
export { keyRoot, subjectRoot, type SubjectRoot } from './root.ts'
