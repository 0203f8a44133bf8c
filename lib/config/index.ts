export { loadConfig, type Config, type Environment, type ResolvedPolicy } from './load.ts'
export { configJsonSchema } from './json-schema.ts'
export type {
  ConfigFile,
  IdentityEntry,
  LimitsEntry,
  NotificationsEntry,
  PolicyEntry,
  Role,
  ScheduleEntry,
  ThrottleEntry,
} from './schema.ts'
