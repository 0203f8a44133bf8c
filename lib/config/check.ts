/** What no single key can know: whether the parts of the file fit together. Finds everything; throws nothing. */
import type { Problem } from '../base/settings/index.ts'
import { checkMapFile } from '../data/datamap/index.ts'
import { checkStores } from '../data/erasers/index.ts'
import { checkPeople } from '../people/identity/index.ts'
import { checkNotifications } from '../people/notify/index.ts'
import { checkErasure } from '../record/requests/index.ts'
import { checkPolicies } from './check-policies.ts'
import type { ConfigFile } from './schema.ts'

export function checkConfig(file: ConfigFile): Problem[] {
  return [
    ...checkErasure(file.erasure, file.stores),
    ...checkMapFile(file),
    ...checkStores(file),
    ...checkPolicies(file.policies, file),
    ...checkPeople(file),
    ...checkNotifications(file.notifications, file.stores),
  ]
}
