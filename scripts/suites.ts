/** What `npm test` and `npm run test:full` run, in this order, each with a budget that only stops a hang (docs/testing.md). */
export interface Suite {
  readonly name: string
  readonly what: string
  /** Minutes; a suite that takes longer is ended and counts as failed. */
  readonly budgetMinutes: number
  readonly command: readonly string[]
  /** `vitest` writes its counts as JSON; `lines` prints `ok …` or `FAILED …` for each part. */
  readonly counts: 'vitest' | 'lines'
}

const vitest = (...args: string[]): readonly string[] => ['vitest', 'run', ...args]

export const quickSuites: readonly Suite[] = [
  { name: 'check', what: 'types, lint, format, dead code', budgetMinutes: 1, command: ['node', 'scripts/check.ts'], counts: 'lines' },
  {
    name: 'unit',
    what: 'pure parts, laws and the simulator',
    budgetMinutes: 2,
    command: vitest('--project', 'unit', '--project', 'property', '--project', 'simulation'),
    counts: 'vitest',
  },
  // The lab first: it installs what every later suite needs and fills the caches.
  { name: 'lab', what: 'the lab itself', budgetMinutes: 8, command: vitest('--project', 'lab'), counts: 'vitest' },
  {
    name: 'contract',
    what: 'adapters, broker, agent and runner on a real kernel',
    budgetMinutes: 6,
    command: vitest('--project', 'contract'),
    counts: 'vitest',
  },
  { name: 'e2e', what: 'swarmvirt on a real three-node Swarm', budgetMinutes: 10, command: vitest('--project', 'e2e'), counts: 'vitest' },
]

export const fullSuites: readonly Suite[] = [
  {
    name: 'fuzz',
    what: 'the manifest reader, 200,000 mutations',
    budgetMinutes: 10,
    command: ['env', 'SWARMVIRT_FUZZ_RUNS=200000', ...vitest('--project', 'property', 'manifest-fuzz')],
    counts: 'vitest',
  },
  {
    name: 'full',
    what: 'what takes longer: faults with repeats',
    budgetMinutes: 15,
    command: vitest('--project', 'full'),
    counts: 'vitest',
  },
]
