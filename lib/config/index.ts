export { loadConfig, policyVersion, type Config, type Environment, type ResolvedPolicy } from './load.ts'
export { configJsonSchema } from './json-schema.ts'
export type { PolicyEntry } from './policies.ts'
export type { ConfigFile } from './schema.ts'
