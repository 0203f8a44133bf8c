/** Data that no interface reaches: log archives, training sets. Somebody answers for it, and says when it is gone. */
import { z } from 'zod'
import { periodSchema } from '../../../../base/settings/index.ts'
import { defineStore } from '../../define.ts'
import { about } from '../../schema-parts.ts'

const schema = z.strictObject({
  kind: z.literal('declared'),
  owner: z.string().min(2).describe('who answers for it and attests that it is gone'),
  location: about.location,
  holds: z.string().min(3).describe('what is there of a subject, in words'),
  gone_after: periodSchema.describe('how long after the request nothing of the subject is there any more'),
})

export const declared = defineStore({
  kind: 'declared',
  schema,
  async open({ owner, holds, gone_after: goneAfter }, { store }) {
    const { declaredEraser } = await import('./eraser.ts')
    return { eraser: declaredEraser({ store, owner, holds, goneAfter }), plan: {}, leads: [], always: true }
  },
})
