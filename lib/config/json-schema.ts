import { z } from 'zod'
import { configSchema } from './schema.ts'

/** The JSON Schema of lethe.yaml, as published in lethe.schema.json for editors; made from the same schema that parses it. */
export function configJsonSchema(): Record<string, unknown> {
  return {
    $id: 'lethe.schema.json',
    title: 'lethe.yaml',
    ...z.toJSONSchema(configSchema, { io: 'input' }),
  }
}
