/**
 * A processor that speaks OpenDSR (formerly OpenGDPR): each erasure is a request that it acknowledges with a signed receipt
 * and completes later. Completed is its word; absence is seen only where it also offers an address to ask.
 */
import { wallClock } from '../../../../base/clock/index.ts'
import { LetheError } from '../../../../base/errors/index.ts'
import type { Eraser, ErasePage, Pending, SubjectRef, Verification } from '../../eraser.ts'
import { expand, namesIn, valuesIn } from '../../../datamap/index.ts'
import { type HttpSide, type Side, requestVendor } from '../../../../base/calls/index.ts'
import { checkAddress, guardedSend } from '../guarded.ts'
import { requireDiscovery } from './discovery.ts'
import { checkReceipt, checkStatus, processorKey, type Processor, type RequestState } from './receipt.ts'
import { identitiesOf, requestId, type Identity, type OpendsrPlan } from './requests.ts'

export interface OpendsrEraserOptions extends Pick<Side, 'pace' | 'patience'> {
  /** The store's name in the map. */
  store: string
  /** With the major version, without a slash at its end: `https://opendsr.example.com/v3`. */
  url: string
  /** The value of the header Authorization. */
  authorization: string
  /** PEM of the processor's certificate or public key. */
  certificate: string
  /** Makes ids of requests that tell nobody whose they are. */
  requestKey: string
  /** Our own id there; checked in every answer where given. */
  controllerId?: string
  version?: string
  regulation?: 'gdpr' | 'ccpa'
  /** Whether `probe` asks /discovery for what the processor supports; true by default. */
  discovery?: boolean
  /** Answers 404 for a subject who isn't there: `https://example.com/profiles?email={email}`. */
  verifyUrl?: string
  /** Also plain HTTP, this machine and private networks. */
  allowPrivate?: boolean
}

/** What reports call what we count. */
const PLACE = 'subjects'

/** Throws E_CONFIG for a certificate that is none and an address that may not be called. */
export function opendsrEraser(options: OpendsrEraserOptions): Eraser<OpendsrPlan> {
  const { store, url, authorization, pace, patience, verifyUrl, allowPrivate = false } = options
  const { version = '3.0', regulation = 'gdpr', discovery = true, requestKey, controllerId = null } = options
  const guard = { store, allowPrivate }
  const address = checkAddress(url, guard)
  const side: HttpSide = {
    store,
    vendor: 'The processor',
    pace,
    baseUrl: url.replace(/\/$/, ''),
    headers: { authorization },
    send: guardedSend(guard),
    patience,
  }
  const processor: Processor = {
    store,
    host: address.hostname,
    controllerId,
    ...processorKey(options.certificate, store),
  }
  const check = verifyUrl === undefined ? null : checkSide(side, verifyUrl, address)

  /** Null: the processor has no such request. */
  async function stateOf(id: string, signal: AbortSignal): Promise<RequestState | null> {
    const request = { method: 'GET', path: `/requests/${encodeURIComponent(id)}`, expects: [404] } as const
    const answer = await requestVendor(side, 'ask for a request', request, signal)
    return answer.status === 404 ? null : checkStatus(processor, answer, id)
  }

  /**
   * What was sent may have arrived although nothing came back, and protocols differ in what they say of an id that they
   * have: so whatever a refusal says, the request is looked for.
   */
  async function submit(
    id: string,
    identities: readonly Identity[],
    signal: AbortSignal,
  ): Promise<RequestState | null> {
    const body = {
      regulation,
      subject_request_id: id,
      subject_request_type: 'erasure',
      subject_identities: identities,
      submitted_time: wallClock().toISOString(),
      api_version: version,
    }
    const request = { method: 'POST', path: '/requests', body, expects: [400, 409, 422] } as const
    const answer = await requestVendor(side, 'request an erasure', request, signal)
    if (answer.status < 300) return checkReceipt(processor, answer, id, body)
    return stateOf(id, signal)
  }

  return {
    store,
    capabilities: {
      bulk: 100,
      ratePerMinute: null,
      reversible: false,
      verifiable: check !== null,
      sideEffects: [
        'the processor gets the identities that the map names for it, and keeps each request as evidence',
        'what it does with a request, and with whoever processes for it, is its own duty',
        ...(check === null ? ['a completed request is accepted, not seen'] : []),
      ],
      irreversibleAfter: 'the request, once it is in progress',
      settleSeconds: 0,
      follows: `OpenDSR ${version}`,
    },
    async probe(plan, signal) {
      requireFresh(processor)
      if (discovery) await requireDiscovery(side, plan.identities, signal)
      // Also an answer for a request that nobody made needs the credentials.
      await stateOf(requestId(requestKey, 'probe', []), signal)
    },
    async locate(subjects, plan, signal) {
      const known = subjects.filter((subject) => identitiesOf(subject, plan).length > 0)
      const there = check === null ? known : []
      if (check !== null)
        for (const subject of known) if (await isThere(check, subject, plan, signal)) there.push(subject)
      return { counts: there.length === 0 ? {} : { [PLACE]: there.length } }
    },
    async erase(subjects, plan, page, signal): Promise<ErasePage> {
      signal.throwIfAborted()
      const wanted = new Map(
        subjects
          .map((subject) => identitiesOf(subject, plan))
          .filter((identities) => identities.length > 0)
          .map((identities) => [requestId(requestKey, page.runId, identities), identities]),
      )
      const tally = new Tally()
      const { jobs = [] } = page
      if (jobs.length > 0) {
        for (const id of jobs) await tally.add(id, async () => stateOf(id, signal), true)
        // Those of earlier pieces have ended, or are looked for by the next call.
        return tally.page(jobs.length < wanted.size)
      }
      for (const [id, identities] of wanted) {
        const before = await tally.state(async () => stateOf(id, signal))
        if (before === 'refused') continue
        if (before === null && tally.sent >= page.limit) return tally.page(true)
        if (before === null) tally.sent += 1
        await tally.add(id, async () => before ?? submit(id, identities, signal), false)
      }
      return tally.page(false)
    },
    async verify(subjects, plan, signal): Promise<Verification[]> {
      const found: Verification[] = []
      for (const subject of subjects) {
        const nobody = identitiesOf(subject, plan).length === 0
        const there = !nobody && check !== null && (await isThere(check, subject, plan, signal))
        // Of whom nothing can be asked nothing is known either.
        const absent = nobody || (check !== null && !there)
        found.push({ absent, left: there ? { [PLACE]: 1 } : {}, retained: [] })
      }
      return found
    },
  }
}

/** What became of the requests of one call. */
class Tally {
  sent = 0
  private removed = 0
  private refused = 0
  private cancelled = 0
  private readonly pending: Pending[] = []

  /** `counts`: an earlier call began it, so that its end is this call's doing. */
  async add(id: string, ask: () => Promise<RequestState | null>, counts: boolean): Promise<void> {
    const state = await this.state(ask)
    if (state === 'refused') return
    if (state === null) this.refused += 1
    else if (state.status === 'cancelled') this.cancelled += 1
    else if (state.status !== 'completed') this.pending.push({ job: id, pollAfterSeconds: pollAfter(state) })
    else if (counts) this.removed += 1
  }

  /** A refusal of one request holds up no other; what would be refused for all is thrown. */
  async state(ask: () => Promise<RequestState | null>): Promise<RequestState | null | 'refused'> {
    try {
      return await ask()
    } catch (error) {
      const status = error instanceof LetheError ? error.facts['status'] : undefined
      // A status that no call expects is said to whoever asks.
      const isForAll = typeof status === 'number'
      if (!(error instanceof LetheError) || error.code !== 'E_STORE_REFUSED' || isForAll) throw error
      this.refused += 1
      return 'refused'
    }
  }

  page(unsent: boolean): ErasePage {
    return {
      removed: this.removed === 0 ? {} : { [PLACE]: this.removed },
      retained: [],
      pending: this.pending,
      messages: [
        ...(this.refused === 0 ? [] : [`${requests(this.refused)} refused, lost or not properly signed.`]),
        ...(this.cancelled === 0 ? [] : [`${requests(this.cancelled)} cancelled at the processor.`]),
      ],
      more: unsent || this.pending.length > 0,
    }
  }
}

function requests(count: number): string {
  return `${count} request${count === 1 ? '' : 's'}`
}

/** Seconds: when it is expected, but within the hour, and not every moment. */
function pollAfter({ expectedAt }: RequestState): number {
  const expected =
    expectedAt === null ? 3600 : Math.ceil((expectedAt.getTime() - wallClock().getTime()) / 1000)
  return Math.min(3600, Math.max(60, expected))
}

function requireFresh({ store, certificate, host }: Processor): void {
  if (certificate === null) return
  const now = wallClock()
  const isFresh = new Date(certificate.validFrom) <= now && now <= new Date(certificate.validTo)
  if (isFresh && certificate.checkHost(host) !== undefined) return
  throw new LetheError('E_CONFIG', {
    message: `The certificate of ${store} ${isFresh ? 'is for another host than its address' : 'is not valid today'}.`,
    next: 'Download the certificate that the processor publishes at /discovery, compare it, and put it there.',
  })
}

interface Check {
  side: HttpSide
  /** From the side's base address on. */
  template: string
}

/** Credentials go to the processor's own origin only. Throws E_CONFIG where a value would choose the host. */
function checkSide(side: HttpSide, verifyUrl: string, { origin }: URL): Check {
  const [, base = '', template = ''] = /^(https?:\/\/[^/?#{]+)(\/.*)$/.exec(verifyUrl) ?? []
  if (template === '' || namesIn(template).length === 0)
    throw new LetheError('E_CONFIG', {
      message: `verify_url of ${side.store} is no address with a fixed host and an identifier's name.`,
    })
  return { side: { ...side, baseUrl: base, headers: base === origin ? side.headers : {} }, template }
}

async function isThere(
  { side, template }: Check,
  subject: SubjectRef,
  plan: OpendsrPlan,
  signal: AbortSignal,
): Promise<boolean> {
  const known = subject.identifiers
  const encoded = Object.fromEntries(
    namesIn(template).map((name) => [
      name,
      valuesIn(known, name).map((value) => encodeURIComponent(value.toWellFormed())),
    ]),
  )
  const paths = expand(template, encoded)
  for (const path of paths) {
    const answer = await requestVendor(
      side,
      'look for a subject',
      { method: 'GET', path, expects: [404, 410] },
      signal,
    )
    if (answer.status < 300) return true
  }
  // Nothing to ask with is no sign of absence.
  return paths.length === 0
}
