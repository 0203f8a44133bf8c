import { type SubjectRef } from '../../lib/erasers/index.ts'
import { cloudfrontEraser, type CloudfrontPlan } from '../../lib/erasers/processors/cloudfront/eraser.ts'
import { startCloudfront } from '../support/cloudfront.ts'
import { freePace } from '../support/http-server.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

describeEraser('for CloudFront', async (): Promise<EraserFixture<CloudfrontPlan>> => {
  const server = await startCloudfront()
  const person = (id: number): SubjectRef => ({ kind: 'person', key: [String(id)] })
  const id = (subject: SubjectRef) => subject.key[0] ?? ''
  const files = ['a', 'b', 'c']
  // The distribution remembers what a run has invalidated; a test is a run.
  let run = 0
  return {
    eraser: cloudfrontEraser({
      name: 'cdn',
      distribution: server.distribution,
      region: server.region,
      credentials: server.credentials,
      endpoint: server.url,
      verifyUrls: { origin: server.url },
      pace: freePace(),
    }),
    plan: {
      places: [{ name: 'photos', template: '/photos/{id}/{file}.jpg' }],
      // A cache says of nobody that it never had them; who is unknown to us has no paths.
      identifiers: (subject) => (id(subject) === '999999' ? {} : { id: [id(subject)], file: files }),
    },
    stranger: person(999_999),
    reset() {
      server.settle()
      server.reset()
      run += 1
      return Promise.resolve()
    },
    seed(count) {
      const subjects = Array.from({ length: count }, (_, place) => person(place + 1))
      for (const subject of subjects)
        for (const file of files) server.edge.cached.add(`/photos/${id(subject)}/${file}.jpg`)
      return Promise.resolve(subjects)
    },
    settle: () => Promise.resolve(server.settle()),
    request: (limit) => Promise.resolve({ runId: `run-${run}`, fence: 1n, limit }),
    lieAbout(subject) {
      server.edge.lied.add(`/photos/${id(subject)}/b.jpg`)
      return Promise.resolve()
    },
    refuse(subject) {
      const paths = files.map((file) => `/photos/${id(subject)}/${file}.jpg`)
      for (const path of paths) server.refused.add(path)
      return Promise.resolve(() => Promise.resolve(server.refused.clear()))
    },
    close: () => server.close(),
  }
})
