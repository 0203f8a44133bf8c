/** The alert rules, judged by Prometheus itself, and held to the metrics and pages that they name. */
import { execFile } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { createMetrics } from '../../../lib/base/metrics/index.ts'
import { findProgram } from '../../support/servers/install.ts'

const runbooks = new URL('../../../runbooks', import.meta.url).pathname
const run = promisify(execFile)
const rules = z
  .object({
    groups: z.array(
      z.object({
        rules: z.array(
          z.object({
            alert: z.string(),
            expr: z.string(),
            labels: z.object({ severity: z.enum(['page', 'ticket']) }),
            annotations: z.object({ summary: z.string(), runbook: z.string() }),
          }),
        ),
      }),
    ),
  })
  .transform(({ groups }) => groups.flatMap((group) => group.rules))
  .parse(parse(read('alerts.rules.yml')))
const testSchema = z
  .object({
    tests: z.array(
      z.object({
        alert_rule_test: z.array(z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()) })),
      }),
    ),
  })
  .transform(({ tests }) => tests.flatMap((test) => test.alert_rule_test))
const testFiles = readdirSync(runbooks).filter((name) => name.endsWith('.test.yml'))
const tested = testFiles.flatMap((name) => testSchema.parse(parse(read(name))))

describe('the alert rules', () => {
  let promtool: string
  beforeAll(async () => {
    promtool = await findProgram('promtool', 'prometheus')
  }, 600_000)

  it('are sound to promtool', async () => {
    const { stdout } = await run(promtool, ['check', 'rules', 'alerts.rules.yml'], { cwd: runbooks })
    expect(stdout).toContain(`SUCCESS: ${rules.length} rules found`)
  })

  it('fire when they should, and not before', async () => {
    const { stdout } = await run(promtool, ['test', 'rules', ...testFiles], { cwd: runbooks })
    expect(stdout.match(/SUCCESS/g)).toHaveLength(testFiles.length)
  }, 120_000)

  it('are each seen to fire', () => {
    const fired = new Set(tested.filter((one) => one.exp_alerts.length > 0).map((one) => one.alertname))
    expect(rules.map(({ alert }) => alert).filter((alert) => !fired.has(alert))).toEqual([])
  })

  it('name only metrics that Lethe exposes', async () => {
    const { body } = await createMetrics().expose()
    const exposed = new Set([...body.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name))
    const used = rules.flatMap(({ expr }) => expr.match(/\blethe_\w+/g) ?? [])
    expect(used.length).toBeGreaterThanOrEqual(rules.length)
    expect(used.filter((name) => !exposed.has(name))).toEqual([])
  })

  it('lead to a page each that names the alert in its title, and no page is without an alert', () => {
    const pages = readdirSync(join(runbooks, 'alerts')).map((name) => `runbooks/alerts/${name}`)
    const titles = new Map(pages.map((page) => [page, read(`../${page}`).split('\n')[0] ?? '']))
    for (const { alert, annotations } of rules)
      expect(titles.get(annotations.runbook)).toMatch(new RegExp(`^# [^:]*\\b${alert}\\b[^:]*: `))
    const led = new Set(rules.map(({ annotations }) => annotations.runbook))
    expect(pages.filter((page) => !led.has(page))).toEqual([])
  })
})

function read(path: string): string {
  return readFileSync(join(runbooks, path), 'utf8')
}
