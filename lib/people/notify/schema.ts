/** `notifications` of lethe.yaml: the channel to data subjects, and what it says by itself. */
import { z } from 'zod'
import { nameSchema, secretSchema, storeNamed, type Problem, type Stores } from '../../base/settings/index.ts'

export const notificationsSchema = z.strictObject({
  channel: z
    .enum(['log', 'webhook', 'smtp'])
    .default('log')
    .describe('log tells nobody: it does not count as delivered'),
  webhook: z.strictObject({ url: secretSchema, secret: secretSchema }).optional(),
  smtp: z.strictObject({ url: secretSchema, from: z.string() }).optional(),
  store: nameSchema
    .optional()
    .describe("the store that holds what this channel's processor knows: erased after the last answer"),
  subject_line: z.string().default('Your data will be deleted'),
  body: z
    .string()
    .default(
      'We have not seen you since {last_active}. Your data will be deleted on {due}. Sign in before then to keep it.',
    ),
})

export type NotificationsEntry = z.infer<typeof notificationsSchema>

export function checkNotifications(notifications: NotificationsEntry, stores: Stores): Problem[] {
  const { channel, store } = notifications
  if (store !== undefined) {
    const path = ['notifications', 'store']
    const entry = storeNamed(stores, store)
    if (entry === null) return [{ path, message: `there is no store ${store}` }]
    if (entry.kind === 'recipient')
      return [{ path, message: `${store} is a recipient: nothing is erased there` }]
  }
  return channel === 'log' || notifications[channel] !== undefined
    ? []
    : [{ path: ['notifications', channel], message: `is missing, and the channel is ${channel}` }]
}
