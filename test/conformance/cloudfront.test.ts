import { cloudfrontEraser, type CloudfrontPlan } from '../../lib/data/erasers/processors/cloudfront/eraser.ts'
import { startCloudfront } from '../support/vendors/cloudfront.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'
import { freePace, idOf, people, person, knowing, type Known } from '../support/stages/erasing.ts'

describeEraser('for CloudFront', async (): Promise<EraserFixture<Known<CloudfrontPlan>, 'settle'>> => {
  const server = await startCloudfront()
  const files = ['a', 'b', 'c']
  // The distribution remembers what a run has invalidated; a test is a run.
  let run = 0
  return {
    eraser: knowing(
      cloudfrontEraser({
        store: 'cdn',
        distribution: server.distribution,
        region: server.region,
        credentials: server.credentials,
        endpoint: server.url,
        verifyUrls: { origin: server.url },
        pace: freePace(),
      }),
    ),
    plan: {
      places: [{ name: 'photos', template: '/photos/{id}/{file}.jpg' }],
      // A cache says of nobody that it never had them; who is unknown to us has no paths.
      identifiers: (subject) => (idOf(subject) === '999999' ? {} : { id: [idOf(subject)], file: files }),
    },
    stranger: person(999_999),
    reset() {
      server.settle()
      server.reset()
      run += 1
      return Promise.resolve()
    },
    seed(count) {
      const subjects = people(count)
      for (const subject of subjects)
        for (const file of files) server.edge.cached.add(`/photos/${idOf(subject)}/${file}.jpg`)
      return Promise.resolve(subjects)
    },
    settle: () => Promise.resolve(server.settle()),
    request: (limit) => Promise.resolve({ runId: `run-${run}`, fence: 1n, limit }),
    lieAbout(subject) {
      server.edge.lied.add(`/photos/${idOf(subject)}/b.jpg`)
      return Promise.resolve()
    },
    refuse(subject) {
      const paths = files.map((file) => `/photos/${idOf(subject)}/${file}.jpg`)
      for (const path of paths) server.refused.add(path)
      return Promise.resolve(() => Promise.resolve(server.refused.clear()))
    },
    close: () => server.close(),
  }
})
