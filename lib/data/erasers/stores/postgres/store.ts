/** A PostgreSQL database: erased by a plan, for a subject whose rows the entry names, and never opened like the others. */
import { LetheError } from '../../../../base/errors/index.ts'
import { postgresSchema } from '../../../datamap/index.ts'
import { defineStore } from '../../define.ts'

export const postgres = defineStore({
  kind: 'postgres',
  schema: postgresSchema,
  open(_entry, { store }) {
    throw new LetheError('E_STORE_WITHOUT_ERASER', {
      message: `Store ${store} is a PostgreSQL store: say which subject its rows belong to.`,
      facts: { store },
    })
  },
})
