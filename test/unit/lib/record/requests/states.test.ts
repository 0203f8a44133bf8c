import { expect, test } from 'vitest'
import {
  endedLegs,
  finalRequestStates,
  legSentences,
  legStates,
  requestStates,
  requestTransitions,
  type RequestState,
} from '../../../../../lib/record/requests/states.ts'

const all = Object.entries(requestTransitions).map(([verb, entry]) => ({ verb, ...entry }))
const leaving = (state: RequestState) => all.filter((entry) => entry.from.some((from) => from === state))
/** Where a request goes on that was set aside. */
const resumable: readonly RequestState[] = requestTransitions.attend.from

function reachedFrom(state: RequestState): string[] {
  const reached = new Set([state])
  for (const found of reached)
    for (const { to } of leaving(found))
      for (const next of to === 'resume' ? resumable : [to]) reached.add(next)
  return [...reached].sort()
}

test('every state is reached from the first one', () => {
  expect(reachedFrom('received')).toEqual([...requestStates].sort())
})

test('nothing leaves a final state, and every other one can end', () => {
  for (const state of requestStates) {
    const reached = reachedFrom(state)
    if (finalRequestStates.includes(state)) expect(reached).toEqual([state])
    else expect(reached).toEqual(expect.arrayContaining([...finalRequestStates]))
  }
})

test('a request that is set aside goes on where it was', () => {
  const setAside = ['needs-attention', 'on-hold']
  const from = all
    .filter(({ to }) => setAside.includes(to))
    .flatMap((entry): RequestState[] => [...entry.from])
    .filter((state) => !setAside.includes(state))
  expect([...new Set(from)].sort()).toEqual([...resumable].sort())
  expect(requestTransitions.resume.from).toEqual(setAside)
})

test('each has a sentence', () => {
  for (const { verb, sentence } of all) expect(sentence, verb).toMatch(/^[A-Z].{20,}\.$/)
})

test('each state of a leg has its words, and one that ended is a state of a leg', () => {
  expect(Object.keys(legSentences).sort()).toEqual([...legStates].sort())
  expect(legStates).toEqual(expect.arrayContaining([...endedLegs]))
})
