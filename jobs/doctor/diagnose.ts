/** Looks at everything Lethe stands on, in the order in which one would mend it. Reads only. */
import { openDatabase, type Database } from '../../lib/base/db/index.ts'
import { examineControl } from './control.ts'
import { examineEvidence } from './evidence.ts'
import { attempt, type Finding } from './finding.ts'
import { examineKeystore, examineMachine } from './machine.ts'
import type { Patient } from './patient.ts'
import { examinePeople, examinePolicies } from './policies.ts'
import { examineRedis } from './redis.ts'
import { examineRequests } from './requests.ts'
import { examineStores } from './stores.ts'
import { databaseIdentity, examineTarget, sameDatabases } from './target.ts'

export interface Diagnosis {
  findings: Finding[]
}

export async function diagnose(patient: Patient): Promise<Diagnosis> {
  const { config } = patient
  const control = await open('control', () => config.controlUrl)
  const others = await examineStores(config)
  const findings = [
    ...(await examineMachine(patient.nodeVersion)),
    ...(await attempt('keystore', 'keystore', () => examineKeystore(config))),
    ...(await attempt('redis', 'redis', () => examineRedis(config))),
    ...control.findings,
  ]
  try {
    let record: Database | null = null
    if (control.database !== null) {
      const examined = await examineControl(control.database, config.version)
      findings.push(...examined.findings)
      if (examined.readable) {
        record = control.database
        findings.push(...(await examineEvidence(control.database, config)))
        findings.push(...(await examineRequests(control.database, config)))
      }
    }
    const identities = new Map<string, string | null>()
    for (const [store, entry] of Object.entries(config.file.stores)) {
      if (entry.kind !== 'postgres') continue
      const target = await open(store, () => config.storeUrl(store))
      findings.push(...target.findings)
      if (target.database === null) continue
      try {
        identities.set(store, await databaseIdentity(target.database))
        findings.push(
          ...(await examineTarget(config, store, target.database, control.database, others.opened)),
        )
      } finally {
        await target.database.close()
      }
    }
    findings.push(...sameDatabases(identities), ...others.findings, ...examinePeople(config))
    findings.push(...(await examinePolicies(patient, record)))
  } finally {
    await others.close()
    await control.database?.close()
  }
  return { findings }
}

/** Connecting also looks for a pool in transaction mode. */
async function open(
  name: string,
  url: () => string,
): Promise<{ database: Database | null; findings: Finding[] }> {
  let database: Database | null = null
  const findings = await attempt('reachable', name, async () => {
    const opened = openDatabase(url(), {
      name,
      applicationName: 'lethe doctor',
      max: 2,
      readOnly: true,
    })
    try {
      await opened.ping()
    } catch (error) {
      await opened.close()
      throw error
    }
    database = opened
    return []
  })
  return { database, findings }
}
