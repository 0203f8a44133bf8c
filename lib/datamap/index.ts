export * from './schema.ts'
export * from './plan.ts'
