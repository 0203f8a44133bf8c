/** D4 of issue 10 (case 08): one key with a control character left the same person's other files. */
import { expect, test } from 'vitest'
import type { SubjectRef } from '../../../../../../../lib/data/erasers/index.ts'
import { never } from '../../../../../../support/stages/erasing.ts'
import {
  erase,
  eraser,
  makeBucket,
  plan,
  put,
  request,
  stageS3,
  there,
  verify,
} from '../../../../../../support/stages/s3-stage.ts'

stageS3()

const odd = [
  'a\r\nb.pdf',
  'c\u0010.pdf',
  '\u0001',
  ' ',
  'trailing ',
  '+',
  'x%2Fy',
  'tab\there',
  'del\u007f',
  'e\ufffe',
]

test('every key that S3 takes goes, whatever characters it holds, by prefix', async () => {
  await makeBucket('Enabled')
  for (const name of [...odd, 'plain.pdf']) await put(`patients/1/${name}`)
  await put('patients/10/other.pdf')
  expect((await erase()).messages).toEqual([])
  expect(await there()).toEqual(['patients/10/other.pdf'])
  expect(await verify()).toMatchObject({ absent: true })
})

/** By whole names, which are the subject's own. */
const exactly = () => ({
  ...plan([{ name: 'docs', key: 'docs/{file}' }]),
  identifiers: (subject: SubjectRef) => subject.identifiers,
})
const eraseExactly = (subject: SubjectRef) => eraser.erase([subject], exactly(), request(), never)
const verifyExactly = (subject: SubjectRef) => eraser.verify([subject], exactly(), never)
const person = (file: readonly string[]): SubjectRef => ({
  kind: 'patient',
  key: ['1'],
  identifiers: { file },
})

test('every key that S3 takes goes, whatever characters it holds, by its whole name', async () => {
  await makeBucket('Enabled')
  for (const name of [...odd, 'plain.pdf', 'of-2.pdf']) await put(`docs/${name}`)
  const one = person([...odd, 'plain.pdf'])
  expect((await eraseExactly(one)).messages).toEqual([])
  expect(await there()).toEqual(['docs/of-2.pdf'])
  expect(await verifyExactly(one)).toMatchObject([{ absent: true }])
})

test('a name that can be no key leaves none of the other files, is named by its identifier, and keeps its person from being absent', async () => {
  await makeBucket('Enabled')
  for (const name of ['plain.pdf', 'other.pdf', 'of-2.pdf']) await put(`docs/${name}`)
  const one = person(['plain.pdf', 'secret\u0000name', 'other.pdf'])
  const page = await eraseExactly(one)
  expect(await there()).toEqual(['docs/of-2.pdf'])
  expect(page.messages.join()).toContain('A value of identifier file is empty or not fit')
  expect(page.messages.join()).not.toContain('secret')
  await expect(verifyExactly(one)).rejects.toMatchObject({ code: 'E_IDENTIFIER' })
})
