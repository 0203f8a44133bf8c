/** A request that support staff write down: by the subject's key, or by an identifier that leads to exactly one person. */
import { findByIdentifier } from '../../../lib/data/rows/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { authorise, type Attested, type Decided } from '../../../lib/people/identity/index.ts'
import {
  createRequests,
  decideRequest,
  type Created,
  type PersonalMethod,
  type Requester,
} from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { canonicalSubject } from '../../hold-key.ts'
import { ensureCascade } from '../cascade/cascade.ts'
import { graceOf, groundOf, limitsOf } from '../cascade/intake.ts'
import { rootFor, subjectOf } from '../plans.ts'

export interface Asked {
  subject: string
  /** The key, or one identifier and its value. */
  who: { key: readonly string[] } | { identifier: string; value: string }
  kind: 'account-closure' | 'article-17'
  ground?: string
  requester: Exclude<Requester, 'policy'>
  immediate: boolean
  identity?: PersonalMethod
  instruction?: string
}

/**
 * The key of whoever is meant, by the one text that all equal values have. Throws E_IDENTIFIER for a value that leads to several persons or to
 * none, and for an identifier that isn't declared unique.
 */
export async function resolveSubject(
  context: Context,
  asked: Pick<Asked, 'subject' | 'who'>,
): Promise<string[]> {
  const subject = subjectOf(context, asked.subject)
  if ('key' in asked.who)
    return [...(await canonicalSubject(context, subject.store, asked.subject, asked.who.key)).key]
  const { identifier, value } = asked.who
  const entry = Object.hasOwn(subject.identifiers, identifier) ? subject.identifiers[identifier] : undefined
  const unique = Object.entries(subject.identifiers).flatMap(([name, one]) => (one.unique ? [name] : []))
  if (entry?.unique !== true)
    throw new LetheError('E_IDENTIFIER', {
      message: `${identifier} is no identifier that leads to one ${asked.subject}.`,
      next:
        unique.length === 0
          ? 'Declare one in the map (identifiers: … unique: true), or give the key.'
          : `Use one of: ${unique.join(', ')}; or give the key.`,
    })
  const target = await context.target(subject.store)
  const found = await findByIdentifier(
    target,
    await rootFor(context, subject.store, asked.subject),
    entry.sql,
    value,
  )
  const [key, second] = found
  if (key !== undefined && second === undefined) return [...key]
  throw new LetheError(key === undefined ? 'E_NOT_FOUND' : 'E_IDENTIFIER', {
    message:
      key === undefined
        ? `No ${asked.subject} has this ${identifier}.`
        : `More than one ${asked.subject} has this ${identifier}: nobody is erased on a guess.`,
    next:
      key === undefined
        ? 'Check the value as it is stored. For a person who is gone from the database but not elsewhere, give the key.'
        : 'Find out who is meant, and give the key.',
  })
}

/** Whether a row of this person is there now. One who is gone may still be in other stores; or the key is a slip. */
export async function isPresent(context: Context, subject: string, key: readonly string[]): Promise<boolean> {
  const { store } = subjectOf(context, subject)
  return (await canonicalSubject(context, store, subject, key)).found
}

/** What staff sign: who is meant as a keyed hash, so that the statement names nobody. */
export function askedStatement(
  context: Pick<Context, 'keystore' | 'config'>,
  asked: Asked,
  key: readonly string[],
  reason: string,
): Decided {
  const { store } = subjectOf(context, asked.subject)
  return {
    verb: 'erasure.request',
    object: asked.subject,
    facts: {
      subject: context.keystore.subjectHash(store, asked.subject, key).toString('hex'),
      kind: asked.kind,
      requester: asked.requester,
      immediate: asked.immediate,
      identity: asked.identity ?? null,
      instruction: asked.instruction ?? null,
    },
    reason,
  }
}

/** Throws E_ROLE_MISSING, E_NOT_FOUND, E_IDENTIFIER. */
export async function requestErasure(
  context: Context,
  asked: Asked,
  key: readonly string[],
  by: Attested,
): Promise<Created> {
  authorise(context.config.file, by.identity, 'erasure.request')
  const { store } = subjectOf(context, asked.subject)
  const actor = by.identity.name
  const given =
    'key' in asked.who ? await canonicalSubject(context, store, asked.subject, asked.who.key) : undefined
  const { created } = await context.control.transaction((tx) =>
    decideRequest(tx, { attested: by }, async () => {
      const [made] = await createRequests(
        tx,
        context.keystore,
        [
          {
            subjectKind: asked.subject,
            store,
            key,
            ...(given === undefined ? {} : { written: given.written }),
            kind: asked.kind,
            ground: asked.ground ?? groundOf(asked.kind),
            requester: asked.requester,
            actor,
            origin: 'command-line',
            grace: graceOf(context, asked.kind, asked.immediate),
            identity: asked.identity === undefined ? null : { method: asked.identity, by: actor },
            instruction: asked.instruction ?? null,
          },
        ],
        limitsOf(context),
      )
      if (made === undefined) throw new LetheError('E_INTERNAL', { message: 'No request was made.' })
      return { requestId: made.id, verb: 'request', created: made }
    }),
  )
  await ensureCascade(context, asked.subject)
  return created
}
