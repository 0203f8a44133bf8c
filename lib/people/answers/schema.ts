/** `answers` of lethe.yaml: who answers data subjects, in whose time and words. */
import { z } from 'zod'
import { isTimeZone } from '../../base/schedule/index.ts'
import type { AnswerKind } from './facts.ts'
import { lineProblems, textProblems } from './template.ts'
import { definitions } from './texts.ts'

const line = z
  .string()
  .min(1)
  .max(200)
  .refine((text) => !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text), 'is more than one line')

export const answersSchema = z.strictObject({
  controller: line.optional().describe('who answers, by the name that data subjects know'),
  contact: line.optional().describe('where they ask: an address or a number'),
  authority: z
    .strictObject({ name: line, url: z.url({ protocol: /^https?$/ }).optional() })
    .optional()
    .describe('whom they complain to; default: the authority where they live or work'),
  language: z
    .string()
    .refine(isLanguage, 'is no language tag such as en-GB or de')
    .default('en-GB')
    .describe('how days are written; the texts are English unless they stand below'),
  time_zone: z
    .string()
    .refine(isTimeZone, 'is no IANA time zone name')
    .default('UTC')
    .describe('an IANA time zone name'),
  acknowledgement: texts('acknowledgement').describe('the request came in, and by when it is answered'),
  confirm: texts('confirm').describe('the link that confirms that the data subject asked'),
  cancel: texts('cancel').describe('access is cut; the link that takes the request back'),
  extension: texts('extension').describe('the answer comes later, and why'),
  refusal: texts('refusal').describe('nothing is erased, why, and where to complain'),
  completion: texts('completion').describe('what was erased, what is kept and why, what is still in backups'),
})

export type Answers = z.infer<typeof answersSchema>

/** Texts in place of the built-in ones. */
function texts(kind: AnswerKind) {
  const definition = definitions[kind]
  const scalars = definition.always.filter((name) => !definition.lists.includes(name))
  const names = Object.keys(definition.lines)
  const lines = names.length === 0 ? z.never() : z.partialRecord(z.enum(names), z.string().max(500))
  return z
    .strictObject({
      subject: z.string().max(200).optional(),
      text: z
        .string()
        .max(20_000)
        .optional()
        .describe(`placeholders: ${[...definition.always, ...definition.sometimes].join(', ')}`),
      lines: z.optional(lines).describe('how lines of lists read'),
    })
    .superRefine((entry, context) => {
      const report = (path: string[], problems: readonly string[]) => {
        for (const message of problems) context.addIssue({ code: 'custom', path, message })
      }
      if (entry.subject !== undefined) report(['subject'], lineProblems(entry.subject, scalars))
      if (entry.text !== undefined) report(['text'], textProblems(entry.text, definition))
      for (const [name, text] of Object.entries(entry.lines ?? {}))
        report(['lines', name], lineProblems(text ?? '', definition.lines[name]?.always ?? []))
    })
    .prefault({})
}

function isLanguage(tag: string): boolean {
  try {
    return Intl.DateTimeFormat.supportedLocalesOf(tag).length > 0
  } catch {
    return false
  }
}
