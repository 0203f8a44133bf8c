/**
 * The one table of legal state changes of a run. Every change in lib/record/ledger names its verb here, and the statement that
 * makes it takes its source states from this table, so nothing else can happen.
 */
export const runStates = [
  'queued',
  'running',
  'waiting',
  'paused',
  'succeeded',
  'failed',
  'cancelled',
  'refused',
] as const
export type RunState = (typeof runStates)[number]

export const finalStates: readonly RunState[] = ['succeeded', 'failed', 'cancelled', 'refused']

interface Transition {
  from: readonly RunState[]
  to: RunState
  sentence: string
}

export const transitions = {
  claim: {
    from: ['queued', 'running'],
    to: 'running',
    sentence: 'A worker takes a due run, or one whose holder let its lease expire, and raises the fence.',
  },
  'give-back': {
    from: ['running'],
    to: 'queued',
    sentence: 'A worker that stops or has had its slot long enough puts the run back; no attempt is used.',
  },
  retry: {
    from: ['running'],
    to: 'queued',
    sentence: 'A failure that may pass uses one attempt and waits for its backoff.',
  },
  expire: {
    from: ['running'],
    to: 'queued',
    sentence:
      'The lease of a dead worker ended; the run is free again, and an attempt is used only where it made no progress.',
  },
  wait: {
    from: ['running'],
    to: 'waiting',
    sentence: 'The run waits for a person or an instant and holds no slot meanwhile.',
  },
  wake: {
    from: ['waiting'],
    to: 'queued',
    sentence: 'What the run waited for has come.',
  },
  pause: {
    from: ['running', 'queued', 'waiting'],
    to: 'paused',
    sentence:
      'Someone, or the run itself, stopped it between two units of work; nothing happens until it is resumed.',
  },
  resume: {
    from: ['paused'],
    to: 'queued',
    sentence: 'Someone lets a paused run go on.',
  },
  'wind-up': {
    from: ['queued', 'waiting', 'paused'],
    to: 'queued',
    sentence:
      'A cancelled run that had started gets a slot once more, to finish the subject it is in and tidy up.',
  },
  succeed: {
    from: ['running'],
    to: 'succeeded',
    sentence: 'The work is done and verified.',
  },
  fail: {
    from: ['running'],
    to: 'failed',
    sentence: 'A failure that will not pass, or the last attempt.',
  },
  refuse: {
    from: ['running'],
    to: 'refused',
    sentence: 'A policy, a hold, a limit or a missing approval forbids the work.',
  },
  cancel: {
    from: ['running', 'queued', 'waiting', 'paused'],
    to: 'cancelled',
    sentence: 'Someone called it off, and the subject in hand was finished.',
  },
} as const satisfies Record<string, Transition>

export type Verb = keyof typeof transitions
