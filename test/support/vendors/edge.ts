/** The caches of a delivery network, as one visitor meets them: what they have, else what the origin has, which they keep. */
import type { Reply } from '../servers/http-server.ts'

export interface TestEdge {
  /** By path. */
  cached: Set<string>
  origin: Set<string>
  /** Purges of these are accepted, and nothing happens. */
  lied: Set<string>
  purge(path: string): void
  visit(path: string, headerName: string): Reply
  reset(): void
}

export function makeEdge(): TestEdge {
  const edge: TestEdge = {
    cached: new Set(),
    origin: new Set(),
    lied: new Set(),
    purge(path) {
      const begins = path.endsWith('*') ? path.slice(0, -1) : null
      for (const one of edge.cached)
        if (!edge.lied.has(one) && (one === path || (begins !== null && one.startsWith(begins))))
          edge.cached.delete(one)
    },
    visit(path, headerName) {
      const hit = edge.cached.has(path)
      if (!hit && !edge.origin.has(path))
        return { status: 404, headers: { [headerName]: 'MISS' }, body: 'no' }
      edge.cached.add(path)
      return { status: 200, headers: { [headerName]: hit ? 'HIT' : 'MISS' }, body: 'a photo' }
    },
    reset() {
      for (const set of [edge.cached, edge.origin, edge.lied]) set.clear()
    },
  }
  return edge
}
