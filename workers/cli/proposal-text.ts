/** A proposal and its figures, as the terminal shows them. */
import type { Proposal } from '../../lib/record/proposals/index.ts'
import { count, instant, table } from './output.ts'

export function proposalText(bold: (text: string) => string, proposal: Proposal): string {
  return [
    `${bold(`Proposal ${proposal.id}`)} of policy ${proposal.policy}: ${proposal.state}`,
    `  cutoff ${instant(proposal.cutoff)}, made ${instant(proposal.createdAt)}, expires ${instant(proposal.expiresAt)}`,
    `  plan ${proposal.planHash.slice(0, 12)}, map ${proposal.mapVersion.slice(0, 12)}, policy ${proposal.policyVersion.slice(0, 12)}`,
    ...figuresText(bold, proposal, proposal.limits),
  ].join('\n')
}

interface Figures {
  population: number
  rows: Readonly<Record<string, number>>
  excluded: Readonly<Record<string, number>>
  oldest: Date | null
  newest: Date | null
}

export function figuresText(
  bold: (text: string) => string,
  found: Figures,
  limits: Proposal['limits'],
): string[] {
  const rows = Object.entries(found.rows).filter(([, n]) => n > 0)
  const excluded = Object.entries(found.excluded)
  const total = rows.reduce((sum, [, n]) => sum + n, 0)
  return [
    `  subjects due and free to go: ${count(found.population)}, with ${count(total)} rows`,
    `  oldest ${instant(found.oldest)}, newest ${instant(found.newest)}`,
    ...(rows.length === 0 ? [] : [bold('Rows by table'), table(['', ''], rows)]),
    ...(excluded.length === 0 ? [] : [bold('Due, but they stay'), table(['', ''], excluded)]),
    bold('Limits'),
    table(
      ['', 'found', 'limit', ''],
      limits.map((limit) => [
        limit.name,
        rounded(limit.value),
        rounded(limit.limit),
        limit.exceeded ? 'EXCEEDED: needs --override by the role cto' : 'ok',
      ]),
    ),
  ]
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000
}
