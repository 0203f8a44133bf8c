/**
 * Events and answers of a team's own processor; runbooks/webhook-processor.md tells them to whoever writes one. Only what
 * the plan declares comes through: a place, a reason or a job's id that named somebody would end up in reports.
 */
import { z } from 'zod'
import { LetheError } from '../../../errors/index.ts'
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

export const verifyAnswer = z.strictObject({
  subjects: z.array(z.strictObject({ left: counts.default({}), retained: retained.default([]) })),
})

export type KeptAnswer = z.infer<typeof retained>

/**
 * Throws E_STORE_REFUSED for an answer that isn't the protocol's: without the answer, which may hold anything, but with
 * the path of what is wrong where the schema knows it.
 */
export function parseAnswer<T>(schema: z.ZodType<T>, body: unknown, store: string, event: Event): T {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const keys = new Set([
    'counts',
    'removed',
    'retained',
    'pending',
    'refused',
    'more',
    'subjects',
    'left',
    'protocol',
  ])
  const [first] = parsed.error.issues[0]?.path ?? []
  const where = typeof first === 'string' && keys.has(first) ? ` at ${first}` : ''
  throw strangeAnswer(store, event, `is not the protocol's${where}`)
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
