import { describe, expect, it } from 'vitest'
import { LetheError } from '../../../../lib/base/errors/index.ts'
import { createOutput, table } from '../../../../workers/cli/output.ts'

const failure = new LetheError('E_LIMITS', { message: 'Too much.', facts: { rows: 12n } })

function capture(options: { json?: boolean; terminal?: boolean; env?: Record<string, string> } = {}) {
  const written = { stdout: '', stderr: '' }
  const stream = (name: keyof typeof written) => ({
    isTTY: options.terminal ?? false,
    write: (text: string) => (written[name] += text),
  })
  const output = createOutput({
    json: options.json ?? false,
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    env: options.env ?? {},
  })
  output.command = 'runs list'
  return { output, written }
}

describe('output', () => {
  it('puts data on stdout and everything else on stderr', () => {
    const { output, written } = capture()
    output.data({ a: 1 }, 'one')
    output.note('beside')
    output.progress({ rows: 1 }, '1 row')
    output.error(failure)
    expect(written.stdout).toBe('one\n')
    expect(written.stderr).toMatch(/^beside\n1 row\nE_LIMITS: Too much\.\n {2}left: /)
  })

  it('as JSON is one document on stdout and one JSON object a line on stderr', () => {
    const { output, written } = capture({ json: true, terminal: true })
    output.data({ fence: 3n, at: new Date(0) }, 'text')
    output.note('beside')
    output.progress({ rows: 1 }, '1 row')
    output.error(failure)
    expect(JSON.parse(written.stdout)).toEqual({
      lethe: 1,
      command: 'runs list',
      data: { fence: '3', at: '1970-01-01T00:00:00.000Z' },
    })
    const lines = written.stderr
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line))
    expect(lines).toEqual([
      { lethe: 1, command: 'runs list', note: 'beside' },
      { lethe: 1, command: 'runs list', progress: { rows: 1 } },
      {
        lethe: 1,
        command: 'runs list',
        error: expect.objectContaining({ code: 'E_LIMITS', exit: 12, facts: { rows: '12' } }),
      },
    ])
  })

  it('draws one line over itself on a terminal, and clears it before anything else', () => {
    const { output, written } = capture({ terminal: true })
    output.progress({}, '10 %')
    output.progress({}, '20 %')
    output.note('done')
    expect(written.stderr).toBe('\r\u001B[K10 %\r\u001B[K20 %\r\u001B[Kdone\n')
  })

  it.each([
    [{ terminal: true }, true],
    [{ terminal: false }, false],
    [{ terminal: true, env: { NO_COLOR: '1' } }, false],
    [{ terminal: true, env: { NO_COLOR: '' } }, true],
    [{ terminal: true, env: { TERM: 'dumb' } }, false],
    [{ terminal: true, json: true }, false],
  ])('with %j colours: %s', (options, colours) => {
    const { output, written } = capture(options)
    output.data({}, output.bold('title'))
    output.error(failure)
    expect(written.stdout.includes('\u001B[1m') || written.stderr.includes('\u001B[')).toBe(colours)
  })

  it('lines columns up, numbers to the right', () => {
    expect(
      table(
        ['name', 'rows'],
        [
          ['a', 5],
          ['long name', 12_345],
        ],
      ),
    ).toBe('  name         rows\n  a               5\n  long name  12,345')
  })
})
