import { keysEraser } from '../../lib/data/erasers/stores/keys/eraser.ts'
import type { KeysPlan } from '../../lib/data/erasers/stores/keys/plan.ts'
import { startAkeyless } from '../support/vendors/akeyless.ts'
import { freePace, idOf, people, person, request, knowing, type Known } from '../support/stages/erasing.ts'
import { keysPlan } from '../support/stages/keys-stage.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

describeEraser('for keys in Akeyless', async (): Promise<EraserFixture<Known<KeysPlan>, 'retain'>> => {
  const server = await startAkeyless()
  const names = (id: string) => [`/records/${id}`, `/mails/${id}`, `/secrets/${id}`]
  return {
    eraser: knowing(
      keysEraser({
        backend: 'akeyless',
        store: 'akeyless',
        pace: freePace(),
        baseUrl: server.url,
        accessId: server.accessId,
        accessKey: server.accessKey,
      }),
    ),
    plan: keysPlan([
      { name: 'records', key: '/records/{id}' },
      { name: 'mails', key: '/mails/{id}' },
      { name: 'secrets', key: '/secrets/{id}' },
    ]),
    stranger: person(999_999),
    reset() {
      server.items.clear()
      server.lies = undefined
      return Promise.resolve()
    },
    seed(count) {
      const subjects = people(count)
      for (const id of subjects.map(idOf))
        for (const name of names(id))
          server.items.set(name, { type: name.startsWith('/secrets') ? 'STATIC_SECRET' : 'AES256GCM' })
      return Promise.resolve(subjects)
    },
    request: (limit) => Promise.resolve(request(limit)),
    lieAbout(subject) {
      server.lies = (name) => names(idOf(subject)).includes(name)
      return Promise.resolve()
    },
    refuse(subject) {
      const protect = (on: boolean) => {
        for (const name of names(idOf(subject)))
          if (server.items.has(name)) server.items.set(name, { type: 'AES256GCM', protected: on })
      }
      protect(true)
      return Promise.resolve(() => {
        protect(false)
        return Promise.resolve()
      })
    },
    retain(subject) {
      server.items.set(names(idOf(subject))[0] ?? '', {
        type: 'AES256GCM',
        deletionDate: '2099-01-01T00:00:00Z',
      })
      return Promise.resolve()
    },
    close: () => server.close(),
  }
})
