import { cloudflareEraser, type CloudflarePlan } from '../../lib/data/erasers/processors/cloudflare/eraser.ts'
import { startCloudflare, token, zone } from '../support/vendors/cloudflare.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'
import { freePace, idOf, people, person, knowing, type Known } from '../support/stages/erasing.ts'

describeEraser('for Cloudflare', async (): Promise<EraserFixture<Known<CloudflarePlan>>> => {
  const server = await startCloudflare()
  const files = ['a', 'b', 'c']
  return {
    eraser: knowing(
      cloudflareEraser({
        store: 'cdn',
        zone,
        token,
        baseUrl: server.baseUrl,
        verifyUrls: {},
        pace: freePace(),
      }),
    ),
    plan: {
      places: [{ name: 'photos', template: `${server.url}/photos/{id}/{file}.jpg` }],
      identifiers: (subject) => ({ id: [idOf(subject)], file: files }),
    },
    stranger: person(999_999),
    reset: () => Promise.resolve(server.reset()),
    seed(count) {
      const subjects = people(count)
      for (const subject of subjects)
        for (const file of files) server.edge.cached.add(`/photos/${idOf(subject)}/${file}.jpg`)
      return Promise.resolve(subjects)
    },
    request: (limit) => Promise.resolve({ runId: 'run-1', fence: 1n, limit }),
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
