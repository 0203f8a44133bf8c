export { diagnose, type Diagnosis, type Patient } from './diagnose.ts'
export { exitCodeOf, type Finding, type Severity } from './finding.ts'
