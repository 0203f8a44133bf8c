import { keysEraser } from '../../lib/data/erasers/stores/keys/eraser.ts'
import type { KeyPlace } from '../../lib/data/erasers/stores/keys/target.ts'
import type { KeysPlan } from '../../lib/data/erasers/stores/keys/plan.ts'
import { freePace, idOf, people, person, request, knowing, type Known } from '../support/stages/erasing.ts'
import { startHttpBetween } from '../support/servers/http-between.ts'
import { keysPlan } from '../support/stages/keys-stage.ts'
import { startOpenbao } from '../support/servers/openbao.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

describeEraser('for keys in OpenBao', async (): Promise<EraserFixture<Known<KeysPlan>>> => {
  const server = await startOpenbao()
  const between = await startHttpBetween(server.url)
  const places: KeyPlace[] = [
    { name: 'records', engine: 'transit', key: 'record-{id}' },
    { name: 'mails', engine: 'transit', key: 'mail-{id}' },
    { name: 'secrets', engine: 'kv', key: 'patients/{id}' },
  ]
  /** Of a path of the transit engine. */
  const isOf = (path: string, id: string) => path.endsWith(`-${id}`) || path.endsWith(`-${id}/config`)
  return {
    eraser: knowing(
      keysEraser({
        backend: 'openbao',
        store: 'vault',
        pace: freePace(),
        baseUrl: between.url,
        auth: { token: server.token },
      }),
    ),
    plan: keysPlan(places),
    stranger: person(999_999),
    async reset() {
      between.reset()
      for (const mount of ['transit', 'secret']) {
        await server.ask('DELETE', `sys/mounts/${mount}`)
        await server.ask(
          'POST',
          `sys/mounts/${mount}`,
          mount === 'transit' ? { type: 'transit' } : { type: 'kv', options: { version: '2' } },
        )
      }
    },
    async seed(count) {
      const subjects = people(count)
      for (const id of subjects.map(idOf)) {
        await server.ask('POST', `transit/keys/record-${id}`)
        await server.ask('POST', `transit/keys/mail-${id}`)
        for (const value of ['old', 'new'])
          await server.ask('POST', `secret/data/patients/${id}`, { data: { value } })
      }
      return subjects
    },
    request: (limit) => Promise.resolve(request(limit)),
    lieAbout(subject) {
      between.instead = ({ method, path }) =>
        method === 'DELETE' && isOf(path, idOf(subject)) ? { status: 204 } : undefined
      return Promise.resolve()
    },
    // As a policy does.
    refuse(subject) {
      between.instead = ({ method, path }) =>
        method !== 'GET' && isOf(path, idOf(subject))
          ? { status: 403, body: '{"errors":["1 error occurred:\\n\\t* permission denied\\n\\n"]}' }
          : undefined
      return Promise.resolve(() => {
        between.instead = undefined
        return Promise.resolve()
      })
    },
    async close() {
      await between.close()
      await server.stop()
    },
  }
})
