/**
 * What every eraser must do, whatever holds the data behind it. A new eraser comes with a row in stores.ts and a fixture:
 * `describeEraser('name', () => openFixture())` in a test file next to this one. Cases about what only some stores can do
 * are made for those alone.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { summed, total } from '../../lib/base/counts/index.ts'
import type {
  Eraser,
  EraseRequest,
  ErasePage,
  SubjectRef,
  Verification,
} from '../../lib/data/erasers/index.ts'
import { never } from '../support/stages/erasing.ts'
import { abilities, lacks, type Abilities, type Ability, type Has, type StoreName } from './stores.ts'

/** `A` are the abilities that stores.ts says the store has. */
export type EraserFixture<P, A extends Ability = never> = Basics<P> &
  Pick<Abilities, A> & { [Lacking in Exclude<Ability, A>]?: never }

interface Basics<P> {
  eraser: Eraser<P>
  plan: P
  /** Removes everything, and any obstacle that a test has put up. */
  reset(): Promise<void>
  /** Makes `count` subjects with at least `itemsEach` items each. */
  seed(count: number): Promise<SubjectRef[]>
  /** Default 3. A vendor that knows one record a subject has 1. */
  itemsEach?: number
  /** A subject that was never there. */
  stranger: SubjectRef
  /** A request of a run that may work; `limit` in items. */
  request(limit: number): Promise<EraseRequest>
  /** Makes the store claim success for this subject and keep something. */
  lieAbout(subject: SubjectRef): Promise<void>
  /** Makes the store refuse this subject; the function returned lets it go again. */
  refuse(subject: SubjectRef): Promise<() => Promise<void>>
  close(): Promise<void>
}

/** No eraser needs more calls than this for what the suite gives it: more means it never ends. */
const CALLS = 50

export function describeEraser<N extends StoreName, P>(
  name: N,
  makeFixture: () => Promise<EraserFixture<P, Has<N>>>,
): void
export function describeEraser<P>(
  name: StoreName,
  makeFixture: () => Promise<Basics<P> & Partial<Abilities>>,
): void {
  const has = abilities.filter((ability) => !(ability in lacks(name)))
  describe(`the eraser ${name}`, () => {
    let fixture: Basics<P> & Partial<Abilities>
    beforeAll(async () => {
      fixture = await makeFixture()
      const provided = abilities.filter((ability) => fixture[ability] !== undefined)
      expect(provided, 'what the fixture provides is what stores.ts says').toEqual(has)
    })
    afterAll(() => fixture.close())
    beforeEach(() => fixture.reset())

    /** Of all subjects together. */
    const verify = async (subjects: readonly SubjectRef[]) => {
      const found = await fixture.eraser.verify(subjects, fixture.plan, never)
      expect(found.length).toBe(subjects.length)
      return together(found)
    }
    const locate = async (subjects: readonly SubjectRef[]) =>
      total((await fixture.eraser.locate(subjects, fixture.plan, never)).counts)
    const erase = async (subjects: readonly SubjectRef[], request: EraseRequest) =>
      fixture.eraser.erase(subjects, fixture.plan, request, never)
    const eraseAll = async (subjects: readonly SubjectRef[], request: EraseRequest): Promise<ErasePage[]> => {
      const pages: ErasePage[] = []
      let jobs: string[] = []
      do {
        if (jobs.length > 0) await fixture.settle?.()
        pages.push(await erase(subjects, { ...request, jobs }))
        jobs = pages.at(-1)?.pending.map(({ job }) => job) ?? []
        expect(pages.length).toBeLessThanOrEqual(CALLS)
      } while (pages.at(-1)?.more === true || jobs.length > 0)
      return pages
    }
    const itemsEach = () => fixture.itemsEach ?? 3

    test('says what it can do', () => {
      expect(fixture.eraser.capabilities.bulk).toBeGreaterThan(0)
      expect(fixture.eraser.capabilities.irreversibleAfter).not.toBe('')
    })

    test('answers a probe', async () => {
      await fixture.eraser.probe(fixture.plan, never)
    })

    test('locates what is there and changes nothing by it', async () => {
      const subjects = await fixture.seed(2)
      const before = await locate(subjects)
      expect(before).toBeGreaterThanOrEqual(2 * itemsEach())
      expect(await locate(subjects)).toBe(before)
      expect(await verify(subjects)).toMatchObject({ absent: false })
    })

    test('erases what it located, and reads back that it is absent', async () => {
      const subjects = await fixture.seed(3)
      const there = await locate(subjects)
      const pages = await eraseAll(subjects, await fixture.request(1000))
      expect(removed(pages)).toBeGreaterThanOrEqual(there)
      expect(await verify(subjects)).toMatchObject({ absent: true, left: {} })
      expect(await locate(subjects)).toBe(0)
    })

    test('leaves other subjects as they are', async () => {
      const [one, ...others] = await fixture.seed(3)
      const there = await locate(others)
      await eraseAll(one === undefined ? [] : [one], await fixture.request(1000))
      expect(await locate(others)).toBe(there)
    })

    test('called twice does nothing the second time, and says so', async () => {
      const subjects = await fixture.seed(2)
      const request = await fixture.request(1000)
      await eraseAll(subjects, request)
      expect(await erase(subjects, request)).toMatchObject({ removed: {}, more: false })
    })

    test('finds a subject that was never there absent, and erases nothing for it', async () => {
      expect(await verify([fixture.stranger])).toEqual({ absent: true, left: {}, retained: [] })
      const page = await erase([fixture.stranger], await fixture.request(1000))
      expect(page).toMatchObject({ removed: {}, more: false })
    })

    test('does a present subject in the company of an absent one', async () => {
      const subjects = [fixture.stranger, ...(await fixture.seed(1))]
      await eraseAll(subjects, await fixture.request(1000))
      expect(await verify(subjects)).toMatchObject({ absent: true })
    })

    test('given nobody does nothing', async () => {
      expect(await erase([], await fixture.request(1000))).toMatchObject({ removed: {}, more: false })
      expect(await verify([])).toMatchObject({ absent: true })
    })

    test('reads back each subject by itself, in their order', async () => {
      const [first, second, third] = await fixture.seed(3)
      if (first === undefined || second === undefined || third === undefined)
        throw new Error('three were asked for')
      await eraseAll([first, third], await fixture.request(1000))
      const found = await fixture.eraser.verify([first, second, fixture.stranger, third], fixture.plan, never)
      expect(found.map(({ absent }) => absent)).toEqual([true, false, true, true])
      expect(total(found[1]?.left ?? {})).toBeGreaterThanOrEqual(itemsEach())
    })

    test('does a bounded piece a call, and says whether there is more', async () => {
      const subjects = await fixture.seed(4)
      const pages = await eraseAll(subjects, await fixture.request(itemsEach() + 1))
      expect(pages.length).toBeGreaterThan(1)
      expect(pages.slice(0, -1).every((page) => page.more)).toBe(true)
      expect(await verify(subjects)).toMatchObject({ absent: true })
    })

    test('stopped between two pieces goes on later, by whoever comes', async () => {
      const subjects = await fixture.seed(3)
      await erase(subjects, await fixture.request(Math.min(2, itemsEach())))
      expect(await verify(subjects)).toMatchObject({ absent: false })
      await eraseAll(subjects, await fixture.request(1000))
      expect(await verify(subjects)).toMatchObject({ absent: true })
    })

    test('does the others where one is refused, says so, and ends it when it may', async () => {
      const [first, refused, last] = await fixture.seed(3)
      if (first === undefined || refused === undefined || last === undefined)
        throw new Error('three were asked for')
      const release = await fixture.refuse(refused)
      const request = await fixture.request(1000)
      const page = await erase([first, refused, last], request)
      expect(page.messages.length).toBeGreaterThan(0)
      expect(await verify([first, last])).toMatchObject({ absent: true })
      expect(await verify([refused])).toMatchObject({ absent: false })
      await release()
      await eraseAll([first, refused, last], await fixture.request(1000))
      expect(await verify([refused])).toMatchObject({ absent: true })
    })

    test('has a lie caught by reading back: success reported, data still there', async () => {
      const [subject] = await fixture.seed(1)
      if (subject === undefined) throw new Error('one was asked for')
      await fixture.lieAbout(subject)
      await erase([subject], await fixture.request(1000))
      const verification = await verify([subject])
      expect(verification.absent).toBe(false)
      expect(total(verification.left)).toBeGreaterThan(0)
    })

    if (has.includes('settle'))
      test('reports a job of the other side as pending until it has ended, and starts no second one', async () => {
        const subjects = await fixture.seed(2)
        const request = await fixture.request(1000)
        const jobsOf = ({ pending }: ErasePage) => pending.map(({ job }) => job)
        const started = jobsOf(await erase(subjects, request))
        const jobs = jobsOf(await erase(subjects, { ...request, jobs: started }))
        expect(jobs.length).toBeGreaterThan(0)
        expect(started).toEqual(expect.arrayContaining(jobs))
        await fixture.settle?.()
        expect(await erase(subjects, { ...request, jobs })).toMatchObject({ pending: [], more: false })
        expect(await verify(subjects)).toMatchObject({ absent: true })
      })

    if (has.includes('retain'))
      test('reports what it keeps with ground and end, and keeps it once', async () => {
        const [subject] = await fixture.seed(1)
        if (subject === undefined) throw new Error('one was asked for')
        await fixture.retain?.(subject)
        const request = await fixture.request(1000)
        await eraseAll([subject], request)
        const verification = await verify([subject])
        expect(verification.absent).toBe(true)
        expect(verification.retained.length).toBeGreaterThan(0)
        for (const kept of verification.retained) {
          expect(kept.ground).not.toBe('')
          expect(Date.parse(kept.until ?? '')).not.toBeNaN()
        }
        const again = await erase([subject], request)
        expect(again).toMatchObject({ removed: {}, more: false, retained: verification.retained })
      })

    if (has.includes('overtaken'))
      test('refuses whoever was overtaken, with nothing done', async () => {
        const subjects = await fixture.seed(1)
        const there = await locate(subjects)
        const request = await fixture.overtaken?.()
        if (request === undefined) throw new Error('a request was asked for')
        await expect(erase(subjects, request)).rejects.toMatchObject({ code: 'E_FENCED' })
        expect(await locate(subjects)).toBe(there)
      })

    test('stops before it begins where it was told to', async () => {
      const subjects = await fixture.seed(1)
      const there = await locate(subjects)
      const request = await fixture.request(1000)
      await expect(
        fixture.eraser.erase(subjects, fixture.plan, request, AbortSignal.abort(new Error('stop'))),
      ).rejects.toThrow('stop')
      expect(await locate(subjects)).toBe(there)
    })
  })
}

function together(found: readonly Verification[]): Verification {
  return {
    absent: found.every(({ absent }) => absent),
    left: summed(found.map(({ left }) => left)),
    retained: found.flatMap(({ retained }) => retained),
  }
}

function removed(pages: readonly ErasePage[]): number {
  return pages.reduce((all, page) => all + total(page.removed), 0)
}
