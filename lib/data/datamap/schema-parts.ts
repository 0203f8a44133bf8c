/** What keys of the map are made of. */
import { z } from 'zod'

export const sql = z.string().min(1).max(4000)
export const column = z.string().min(1).max(63)
/** `schema.table`, each part as the catalogue spells it; quote a part that holds a dot: `public."odd.name"`. */
export const table = z.string().min(3).max(130)
