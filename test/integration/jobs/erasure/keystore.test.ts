/** A request that was written down with another keystore than the workers': it waits for a person, and nobody waits for it. */
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { requestStatus, retryLeg } from '../../../../jobs/erasure/index.ts'
import { openKeystore } from '../../../../lib/base/keystore/index.ts'
import { openErasureHouse, type ErasureHouse } from '../../../support/stages/erasure-house.ts'
import { makeFolder, removeFolder } from '../../../support/servers/process.ts'

let house: ErasureHouse
const folder = makeFolder('keystore')
beforeAll(async () => {
  house = await openErasureHouse()
})
afterAll(async () => {
  await house.close()
  await removeFolder(folder)
})
beforeEach(async () => {
  await house.empty()
  await house.people(1, 2)
})

test('the others are erased, and it says which key it needs', async () => {
  const other = await openKeystore(join(folder, 'other.json'), { create: true })
  const strange = await house.ask(1)
  const usual = await house.ask(2)
  await house.control.execute(
    'UPDATE lethe_control.erasure_requests SET sealed = $2, sealed_key_id = $3 WHERE id = $1',
    [strange.id, other.seal(JSON.stringify({ key: ['1'] })).cipher, other.currentKeyId],
  )
  await house.work()
  expect(await house.request(usual.id)).toMatchObject({ state: 'completed-with-retained' })
  const { request, next } = await requestStatus(house.context, strange.id)
  expect(request).toMatchObject({ state: 'needs-attention', waitingFor: `unknown-key:${other.currentKeyId}` })
  expect(next).toContain(other.currentKeyId)
  expect(next).toContain(`lethe erasure cancel ${strange.id}`)
  expect(await house.left(1)).toMatchObject({ app: 3, letters: 2 })
  await retryLeg(house.context, strange.id, null, await house.by('erasure.retry', strange.id, {}, 'desk'))
  await house.later()
  expect(await house.request(strange.id)).toMatchObject({ state: 'needs-attention' })
})
