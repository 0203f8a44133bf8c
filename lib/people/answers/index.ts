export { renderAnswer, type Answer } from './answer.ts'
export type { AnswerFacts, AnswerKind } from './facts.ts'
export { answersSchema, type Answers } from './schema.ts'
