export { diagnose, type Diagnosis } from './diagnose.ts'
export { exitCodeOf, type Finding, type Severity } from './finding.ts'
