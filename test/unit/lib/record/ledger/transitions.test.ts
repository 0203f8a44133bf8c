import { expect, test } from 'vitest'
import { finalStates, runStates, transitions, type RunState } from '../../../../../lib/record/ledger/index.ts'

const all = Object.entries(transitions).map(([verb, entry]) => ({ verb, ...entry }))
const leaving = (state: RunState) => all.filter((entry) => entry.from.some((from) => from === state))

test('nothing leaves a final state, and every other one can end', () => {
  for (const state of runStates) {
    const reached = new Set<RunState>([state])
    for (const found of reached) for (const entry of leaving(found)) reached.add(entry.to)
    if (finalStates.includes(state)) expect([...reached]).toEqual([state])
    else expect([...reached].sort()).toEqual([...runStates].sort())
  }
})

test('each has a sentence', () => {
  for (const entry of all) expect(entry.sentence, entry.verb).toMatch(/^[A-Z].{20,}\.$/)
})
