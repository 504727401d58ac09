import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { faultFiles, fullSuites, quickSuites, realFiles } from '../../../scripts/suites.ts'

describe('the suites of npm run test:full', () => {
  it('have every long test once', () => {
    const written = readdirSync(join(import.meta.dirname, '..', '..', 'full')).filter((file) => file.endsWith('.full.test.ts'))
    const faults = Object.values(faultFiles).map(({ file }) => file)
    const run = [...Object.values(realFiles).flatMap(({ files }) => files), ...faults, 'kill-controller'].map(
      (file) => `${file}.full.test.ts`,
    )
    expect(run.toSorted()).toEqual(written.toSorted())
  })

  it('have every suite of npm test', () => {
    const names = fullSuites.map((suite) => suite.name)
    expect(new Set(names).size).toBe(names.length)
    for (const { name } of quickSuites) expect(names).toContain(name)
  })
})

describe('the suites of npm test', () => {
  it('that share a lab never run at the same time', () => {
    const pairs = quickSuites.flatMap((one, index) => quickSuites.slice(index + 1).map((later) => [one, later] as const))
    const sharing = pairs.filter(([one, later]) => one.labs.some((lab) => later.labs.includes(lab)))
    expect(sharing.length).toBeGreaterThan(0)
    expect(sharing.filter(([one, later]) => !(later.after ?? []).includes(one.name))).toEqual([])
  })
})
