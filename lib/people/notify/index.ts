import './errors.ts'

export type { Delivery, Message } from './delivery.ts'
export { createNotifier, type Notifier } from './notifier.ts'
export { checkNotifications, notificationsSchema, type NotificationsEntry } from './schema.ts'
