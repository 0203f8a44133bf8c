import { vi } from 'vitest'
import { opensearchEraser } from '../../lib/data/erasers/stores/opensearch/eraser.ts'
import type { OpensearchPlan } from '../../lib/data/erasers/stores/opensearch/plan.ts'
import { freePace, people, person, request, knowing, type Known } from '../support/stages/erasing.ts'
import { startHttpBetween } from '../support/servers/http-between.ts'
import {
  addPeople,
  addVisit,
  block,
  makeIndices,
  opensearchPlan,
} from '../support/stages/opensearch-stage.ts'
import { OPENSEARCH_START_MS, startOpensearch } from '../support/servers/opensearch.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

vi.setConfig({ hookTimeout: OPENSEARCH_START_MS })

describeEraser('for OpenSearch', async (): Promise<EraserFixture<Known<OpensearchPlan>>> => {
  const server = await startOpensearch()
  const between = await startHttpBetween(server.url)
  return {
    eraser: knowing(opensearchEraser({ store: 'search', pace: freePace(), baseUrl: between.url })),
    plan: opensearchPlan,
    stranger: person(999_999),
    async reset() {
      between.reset()
      await makeIndices(server)
    },
    async seed(count) {
      const subjects = people(count)
      await addPeople(server, subjects)
      return subjects
    },
    request: (limit) => Promise.resolve(request(limit)),
    // The cluster takes the task, and reports it done.
    lieAbout() {
      between.instead = ({ path }) => {
        if (path.includes('/_delete_by_query')) return { status: 200, body: '{"task":"lies:1"}' }
        if (!path.startsWith('/_tasks/lies')) return undefined
        const response = { deleted: 2, version_conflicts: 0, timed_out: false, failures: [] }
        return { status: 200, body: JSON.stringify({ completed: true, task: {}, response }) }
      }
      return Promise.resolve()
    },
    async refuse(subject) {
      await addVisit(server, subject)
      await block(server, 'visits-2', true)
      return () => block(server, 'visits-2', false)
    },
    async close() {
      await between.close()
      await server.stop()
    },
  }
})
