import { describe, expect, test } from 'vitest'
import {
  firstGap,
  isTimeZone,
  occurrencesBetween,
  parseCron,
} from '../../../../../lib/base/schedule/index.ts'

const berlin = 'Europe/Berlin'

function between(cron: string, zone: string, after: string, until: string): string[] {
  const { instants } = occurrencesBetween(parseCron(cron, zone), new Date(after), new Date(until))
  return instants.map((at) => at.toISOString().slice(5, 16))
}

describe('occurrences', () => {
  test('lie behind the first bound and up to and including the second', () => {
    expect(between('0 3 * * *', 'UTC', '2026-01-01T03:00:00Z', '2026-01-03T03:00:00Z')).toEqual([
      '01-02T03:00',
      '01-03T03:00',
    ])
  })

  test('keep the newest where there are more than the limit, and count the others', () => {
    const found = occurrencesBetween(
      parseCron('* * * * *', 'UTC'),
      new Date('2026-01-01T00:00:00Z'),
      new Date('2026-01-01T01:00:00Z'),
      7,
    )
    expect(found.dropped).toBe(53)
    expect(found.instants).toHaveLength(7)
    expect(found.instants.at(-1)?.toISOString()).toBe('2026-01-01T01:00:00.000Z')
  })
})

// In Berlin the clocks go from 02:00 to 03:00 on 29 March 2026 (01:00 UTC) and from 03:00 back to 02:00 on 25 October (01:00 UTC).
describe('on the spring night', () => {
  const night = (cron: string) => between(cron, berlin, '2026-03-28T22:59:00Z', '2026-03-29T04:00:00Z')

  test('a fixed time inside the gap fires at the first instant after it', () => {
    expect(night('30 2 * * *')).toEqual(['03-29T01:00'])
  })
  test('so does one of a list, and a list that would meet twice fires once', () => {
    expect(night('30 2,4 * * *')).toEqual(['03-29T01:00', '03-29T02:30'])
    expect(night('0 2,3 * * *')).toEqual(['03-29T01:00'])
  })
  test('an interval fires at each instant that exists', () => {
    expect(night('*/30 * * * *').slice(2, 8)).toEqual([
      '03-29T00:00',
      '03-29T00:30',
      '03-29T01:00',
      '03-29T01:30',
      '03-29T02:00',
      '03-29T02:30',
    ])
  })
  test('hourly fires once an hour of real time', () => {
    expect(night('15 * * * *')).toEqual([
      '03-28T23:15',
      '03-29T00:15',
      '03-29T01:15',
      '03-29T02:15',
      '03-29T03:15',
    ])
  })
})

describe('on the autumn night', () => {
  const night = (cron: string) => between(cron, berlin, '2026-10-24T22:59:00Z', '2026-10-25T03:00:00Z')

  test('a fixed time that comes twice fires at the first', () => {
    expect(night('30 2 * * *')).toEqual(['10-25T00:30'])
    expect(night('0 2,3 * * *')).toEqual(['10-25T00:00', '10-25T02:00'])
  })
  test('an interval fires in both hours', () => {
    expect(night('*/30 2 * * *')).toEqual(['10-25T00:00', '10-25T00:30', '10-25T01:00', '10-25T01:30'])
  })
  test('hourly fires once an hour of real time', () => {
    expect(night('15 * * * *')).toEqual(['10-24T23:15', '10-25T00:15', '10-25T01:15', '10-25T02:15'])
  })
})

describe('at load', () => {
  test('a fixed time in a gap is refused with both times, and UTC is not', () => {
    expect(() => parseCron('30 2 * * *', berlin, { validate: true })).toThrow('from 02:00 to 03:00')
    expect(() => parseCron('30 2 * * *', 'UTC', { validate: true })).not.toThrow()
    expect(() => parseCron('0 3 * * *', berlin, { validate: true })).not.toThrow()
    expect(() => parseCron('30 * * * *', berlin, { validate: true })).not.toThrow()
  })

  test.each([
    ['America/New_York', '30 2 * * *', '02:30'],
    ['Australia/Lord_Howe', '15 2 * * *', '02:15'],
    ['Europe/London', '0 1 * * 0', '01:00'],
  ])('%s has its own gap', (zone, cron, time) => {
    expect(firstGap(cron, zone)?.local).toContain(time)
  })

  test('a date that no jump ever meets is fine', () => {
    expect(firstGap('30 2 1 1 *', berlin)).toBeNull()
    expect(firstGap('30 2 28 3 *', berlin)).not.toBeNull()
  })

  test.each(['', '* * * *', '61 * * * *', '0 0 0 * * *', 'tomorrow'])('%j is no cron', (cron) => {
    expect(() => parseCron(cron, 'UTC')).toThrow('five cron fields')
  })

  test('a zone must exist', () => {
    expect(isTimeZone('Europe/Berlin')).toBe(true)
    expect(isTimeZone('Europe/Atlantis')).toBe(false)
    expect(() => parseCron('0 3 * * *', 'Europe/Atlantis')).toThrow('Europe/Atlantis')
  })
})
