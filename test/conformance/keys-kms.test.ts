import { CreateAliasCommand, CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { keysEraser } from '../../lib/data/erasers/stores/keys/eraser.ts'
import type { KeysPlan } from '../../lib/data/erasers/stores/keys/plan.ts'
import { freePace, idOf, people, person, request, knowing, type Known } from '../support/stages/erasing.ts'
import { startHttpBetween } from '../support/servers/http-between.ts'
import { keysPlan } from '../support/stages/keys-stage.ts'
import { startMinistack } from '../support/servers/servers.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

describeEraser('for keys in AWS KMS', async (): Promise<EraserFixture<Known<KeysPlan>, 'retain'>> => {
  const server = await startMinistack('kms')
  const between = await startHttpBetween(server.endpoint)
  const client = new KMSClient(server)
  /** Nothing is ever gone here: each test has aliases and ids of its own. */
  let test = 0
  const aliases = (id: string) => [`alias/t${test}/record-${id}`, `alias/t${test}/mail-${id}`]
  const ids = new Map<string, string[]>()
  const isOf = (body: string, id: string) => (ids.get(id) ?? []).some((key) => body.includes(key))
  return {
    eraser: knowing(
      keysEraser({
        backend: 'kms',
        store: 'kms',
        pace: freePace(),
        waitingDays: 7,
        region: server.region,
        credentials: server.credentials,
        endpoint: between.url,
      }),
    ),
    plan: keysPlan(
      [
        { name: 'records', key: 'alias/{test}/record-{id}' },
        { name: 'mails', key: 'alias/{test}/mail-{id}' },
        { name: 'others', key: '{key}' },
      ],
      (id) => ({ test: [`t${test}`], key: ids.get(id)?.slice(2) ?? [] }),
    ),
    stranger: person(999_999),
    reset() {
      between.reset()
      ids.clear()
      test += 1
      return Promise.resolve()
    },
    async seed(count) {
      const subjects = people(count)
      for (const id of subjects.map(idOf)) {
        const keys: string[] = []
        for (const AliasName of [...aliases(id), null]) {
          const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
          const TargetKeyId = KeyMetadata?.KeyId ?? ''
          keys.push(TargetKeyId)
          if (AliasName !== null) await client.send(new CreateAliasCommand({ AliasName, TargetKeyId }))
        }
        ids.set(id, keys)
      }
      return subjects
    },
    request: (limit) => Promise.resolve(request(limit)),
    lieAbout(subject) {
      between.instead = ({ headers, body }) =>
        headers['x-amz-target'] === 'TrentService.ScheduleKeyDeletion' && isOf(body, idOf(subject))
          ? { status: 200, body: '{"DeletionDate":4102444800,"KeyState":"PendingDeletion"}' }
          : undefined
      return Promise.resolve()
    },
    refuse(subject) {
      between.instead = ({ headers, body }) =>
        headers['x-amz-target'] === 'TrentService.ScheduleKeyDeletion' && isOf(body, idOf(subject))
          ? { status: 400, body: '{"__type":"AccessDeniedException","message":"not authorized"}' }
          : undefined
      return Promise.resolve(() => {
        between.instead = undefined
        return Promise.resolve()
      })
    },
    // Each key that is given its date is kept until then.
    retain: () => Promise.resolve(),
    async close() {
      client.destroy()
      await between.close()
      await server.stop()
    },
  }
})
