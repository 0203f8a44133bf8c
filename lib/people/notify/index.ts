export { createNotifier, type Delivery, type Message, type Notifier } from './notifier.ts'
