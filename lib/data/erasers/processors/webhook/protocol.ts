/**
 * Events and answers of a team's own processor; runbooks/webhook-processor.md tells them to whoever writes one. Only what
 * the plan declares comes through: a place, a reason or a job's id that named somebody would end up in reports.
 */
import { z } from 'zod'
import { LetheError } from '../../../../base/errors/index.ts'
import type { HttpAnswer } from '../../../../base/calls/index.ts'
import type { SentSubject } from '../signed.ts'

export const PROTOCOL = 1

export type Event = 'lethe.probe' | 'lethe.locate' | 'lethe.erase' | 'lethe.verify'

const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const word = z.string().regex(/^[a-z][a-z0-9_.-]{0,62}$/)
const counts = z.record(word, count)
const retained = z.array(
  z.strictObject({
    place: word,
    count: z.int().min(1),
    ground: z.string().min(1).max(200),
    until: z.iso.datetime({ offset: true }).nullable(),
  }),
)

export const probeAnswer = z.strictObject({ protocol: z.literal(PROTOCOL) })

export const locateAnswer = z.strictObject({ counts })

export const eraseAnswer = z.strictObject({
  removed: counts.default({}),
  retained: retained.default([]),
  pending: z
    .array(
      z.strictObject({
        job: z.string().regex(/^[A-Za-z0-9_.:-]{1,100}$/),
        poll_after_seconds: z.int().min(0).max(604_800),
      }),
    )
    .default([]),
  /** Subjects that were left alone, by reason. */
  refused: counts.default({}),
  more: z.boolean().default(false),
})

/** `left` has no default: an answer that doesn't say what is left of each subject doesn't say that nothing is. */
export const verifyAnswer = z.strictObject({
  subjects: z.array(z.strictObject({ left: counts, retained: retained.default([]) })),
})

export type KeptAnswer = z.infer<typeof retained>

/** Members of all answers; any other name in one may be anything. */
const members: ReadonlySet<PropertyKey> = new Set(
  `protocol counts removed retained pending refused more subjects left place count ground until job
   poll_after_seconds`.split(/\s+/),
)

/** Content types that are named where they are not JSON; another may be anything too. */
const contentTypes = ['text/html', 'text/plain', 'text/xml', 'application/xml', 'application/json']

/**
 * Throws E_STORE_REFUSED for an answer that isn't the protocol's: without the answer, which may hold anything, but with the
 * member that is wrong or missing, or that it was no JSON at all.
 */
export function parseAnswer<T>(
  schema: z.ZodType<T>,
  answer: Pick<HttpAnswer, 'body' | 'text' | 'headers'>,
  store: string,
  event: Event,
): T {
  const parsed = schema.safeParse(answer.body)
  if (parsed.success) return parsed.data
  if (answer.body === null && answer.text.trim() !== 'null')
    throw strangeAnswer(store, event, `is no JSON (${contentOf(answer)})`)
  throw strangeAnswer(store, event, `is not the protocol's: ${whatIsWrong(parsed.error, answer.body)}`)
}

function contentOf({ text, headers }: Pick<HttpAnswer, 'text' | 'headers'>): string {
  if (text.trim() === '') return 'its body is empty'
  const given = headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (given === undefined) return 'it names no content type'
  return contentTypes.includes(given) ? `content type ${given}` : 'of another content type'
}

function whatIsWrong(error: z.ZodError, body: unknown): string {
  const [issue] = error.issues
  const path = issue?.path ?? []
  const name = path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${members.has(part) ? String(part) : '…'}`))
    .join('')
    .replace(/^\./, '')
  if (issue?.code === 'unrecognized_keys') return `${name || 'it'} has a member that is not known`
  if (name === '') return 'it is no object'
  return valueAt(body, path) === undefined ? `${name} is missing` : `${name} is not as it should be`
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, part) => (typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined),
    body,
  )
}

/** What it says is about places that the map declares, and quotes no value that was sent. */
export function checkPlaces(
  answer: { places: readonly string[]; texts: readonly string[] },
  sent: { store: string; event: Event; places: readonly string[]; subjects: readonly SentSubject[] },
): void {
  if (answer.places.some((place) => !sent.places.includes(place)))
    throw strangeAnswer(sent.store, sent.event, 'names a place that the map does not')
  const values = sent.subjects.flatMap(({ identifiers }) => Object.values(identifiers).flat())
  const quoted = (text: string) => values.some((value) => value.length > 2 && text.includes(value))
  if (answer.texts.some(quoted)) throw strangeAnswer(sent.store, sent.event, 'quotes an identifier')
}

export function strangeAnswer(store: string, event: Event, why: string): LetheError {
  return new LetheError('E_STORE_REFUSED', {
    message: `The processor ${store} gave an answer to ${event} that ${why}.`,
    left:
      event === 'lethe.erase' ? 'What it removed is not known; it is asked again.' : 'Nothing was changed.',
    next: 'Mend the processor: runbooks/webhook-processor.md has the protocol.',
    facts: { store, event },
  })
}
