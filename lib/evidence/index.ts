export { appendEvent, eventRow, eventsJson, type EventType, type NewEvent, type RunEvent } from './events.ts'
export { sequence, type Sequenced } from './sequence.ts'
