import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run } from '../../lab/run.ts'
import { invariants } from '../invariants.ts'
import { scenarios } from '../scenarios/index.ts'
import { applies, catchBug, copySources, isCaught, type Planted, plantedBugs } from './plant.ts'

const all = plantedBugs()
const handful = 3

/** Another handful for each commit, so that every bug has its turn. */
async function todays(): Promise<Planted[]> {
  const { stdout } = await run(['git', 'rev-parse', 'HEAD'])
  const turn = createHash('sha256').update(stdout).digest().readUInt32BE()
  return Array.from({ length: handful }, (_one, index) => all[(turn + index * 13) % all.length]).filter((one) => one !== undefined)
}

describe('planted bugs', { timeout: 300_000 }, () => {
  it('are at least eighty, forty of them in agent, broker and runner, and each names the invariants that mean it', () => {
    expect(all.length).toBeGreaterThanOrEqual(80)
    expect(
      all.filter((one) => /^\+\+\+ b\/(src\/(agent|broker)|runner)\//m.test(readFileSync(one.file, 'utf8'))).length,
    ).toBeGreaterThanOrEqual(40)
    expect(all.map((one) => one.scenario ?? 'create').filter((name) => !scenarios.some((each) => each.name === name))).toEqual([])
    const unknown = all.filter((one) => one.what === '' || one.caughtBy.some((name) => !(name in invariants)))
    expect(unknown.map((one) => one.name)).toEqual([])
  })

  it('each apply to the sources', async () => {
    const copy = mkdtempSync(join(tmpdir(), 'swarmvirt-planted-'))
    try {
      copySources(copy)
      const stale: string[] = []
      for (const one of all) if (!(await applies(one, copy))) stale.push(one.name)
      expect(stale).toEqual([])
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  })

  it('are noticed within 2,000 seeds, by an invariant that means them', async () => {
    for (const one of await todays()) {
      const caught = await catchBug(one, 2_000)
      expect(isCaught(one, caught), `${one.name} (${one.what}): ${JSON.stringify(caught)}`).toBe(true)
    }
  })
})
