/** C2SP tlog-proof: a file that proves, offline and by public keys alone, that an entry is in the log. */
import { LetheError } from '../../base/errors/index.ts'
import { HASH } from './merkle.ts'

const HEADER = 'c2sp.org/tlog-proof@v1'

export interface LogProof {
  /** What the entry commits to; the application's own. */
  extra: Buffer
  index: number
  path: Buffer[]
  /** The signed checkpoint, as published. */
  checkpoint: string
}

export function formatProof({ extra, index, path, checkpoint }: LogProof): string {
  const lines = [
    HEADER,
    ...(extra.length === 0 ? [] : [`extra ${extra.toString('base64')}`]),
    `index ${index}`,
    ...path.map((hash) => hash.toString('base64')),
  ]
  return `${lines.join('\n')}\n\n${checkpoint}`
}

/** Throws E_EVIDENCE_FORMAT. */
export function parseProof(text: string): LogProof {
  const end = text.indexOf('\n\n')
  const lines = text.slice(0, end).split('\n')
  if (end < 0 || lines.shift() !== HEADER) throw notAProof()
  const extra = lines[0]?.startsWith('extra ') === true ? (lines.shift() ?? '').slice('extra '.length) : ''
  const [, index] = /^index (0|[1-9]\d{0,15})$/.exec(lines.shift() ?? '') ?? []
  const path = lines.map((line) => Buffer.from(line, 'base64'))
  if (index === undefined || path.some((hash) => hash.length !== HASH) || path.length > 63) throw notAProof()
  return {
    extra: Buffer.from(extra, 'base64'),
    index: Number(index),
    path,
    checkpoint: text.slice(end + 2),
  }
}

function notAProof(): LetheError {
  return new LetheError('E_EVIDENCE_FORMAT', {
    message: 'This is not a proof of a log entry (c2sp.org/tlog-proof@v1).',
  })
}
