import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const field = /"version":\s*"([^"]+)"/

/** From the nearest package.json: beside the source, or above the compiled files. */
export function version(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    try {
      return field.exec(readFileSync(join(folder, 'package.json'), 'utf8'))?.[1] ?? 'unknown'
    } catch {
      // not in this folder: look in the one above
    }
  }
  return 'unknown'
}
