/** How many sequences a model runs, and how a failure is run again: LETHE_MODEL_RUNS, LETHE_MODEL_SEED, LETHE_MODEL_PATH. */
export function modelRuns(standard: number): { numRuns: number; seed?: number; path?: string } {
  const { LETHE_MODEL_SEED: seed, LETHE_MODEL_PATH: path, LETHE_MODEL_RUNS: runs } = process.env
  return {
    numRuns: Number(runs ?? standard),
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(path === undefined ? {} : { path }),
  }
}
