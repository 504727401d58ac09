import { defineConfig } from 'vitest/config'

const quick = { environment: 'node', testTimeout: 20_000 } as const
// Suites that drive real kernels, daemons and guests: one file at a time, and limits that only stop a hang.
const real = { environment: 'node', testTimeout: 600_000, hookTimeout: 600_000, fileParallelism: false, maxWorkers: 1 } as const

export default defineConfig({
  test: {
    projects: [
      { test: { ...quick, name: 'unit', include: ['test/unit/**/*.test.ts', 'test/golden/**/*.test.ts'] } },
      { test: { ...quick, name: 'property', include: ['test/property/**/*.test.ts'] } },
      { test: { ...quick, name: 'simulation', include: ['test/simulation/**/*.test.ts'] } },
      { test: { ...real, name: 'contract', include: ['test/contract/**/*.test.ts'], globalSetup: ['test/contract/setup.ts'] } },
      { test: { ...real, name: 'lab', include: ['test/lab/**/*.test.ts'] } },
      { test: { ...real, name: 'e2e', include: ['test/e2e/**/*.test.ts'], globalSetup: ['test/e2e/setup.ts'] } },
      { test: { ...real, name: 'full', include: ['test/full/**/*.test.ts'], globalSetup: ['test/e2e/setup.ts'] } },
    ],
  },
})
