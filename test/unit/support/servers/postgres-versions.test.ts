import { expect, it } from 'vitest'
import { FIXED_MINORS, missedRelease, parseVersion } from '../../../support/servers/postgres-versions.ts'

it.each([
  ['postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n', 15, 18],
  ['pg_dump (PostgreSQL) 18.6\n', 18, 6],
  ['PostgreSQL 17.11 on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14) 12.2.0, 64-bit', 17, 11],
  ['18.6 (Debian 18.6-1.pgdg12+1)', 18, 6],
  ['15.20-0+deb12u1', 15, 20],
  ['9.6.24', 9, 6],
  ['19', 19, 0],
  ['19beta2', 19, 0],
  ['18rc1 (Debian 18~rc1-1.pgdg12+1)', 18, 0],
  ['postgres (PostgreSQL) 20devel', 20, 0],
])('%j is release %i.%i', (text, major, minor) => {
  expect(parseVersion(text)).toEqual({ major, minor })
})

it.each(['', 'postgres', 'psql: error: connection refused', 'pgbouncer 1.18', 'v18.6', '18x', 'beta2'])(
  '%j is no release',
  (text) => {
    expect(() => parseVersion(text)).toThrow('no version of PostgreSQL')
  },
)

it.each([
  ['15.19', '15.20'],
  ['15.2', '15.20'],
  ['18beta3', '18.7'],
  ['17.11 (Debian 17.11-1.pgdg12+1)', '17.12'],
])('%s misses the fixes of %s', (text, missed) => {
  expect(missedRelease(parseVersion(text))).toBe(missed)
})

it.each(['15.20', '15.21', '16.16', '17.100', '18.7'])('%s has the fixes', (text) => {
  expect(missedRelease(parseVersion(text))).toBe(null)
})

it('a major version that is not in the table misses nothing', () => {
  expect(FIXED_MINORS.has(19)).toBe(false)
  expect(missedRelease(parseVersion('19beta2'))).toBe(null)
})
