import { describe, expect, it } from 'vitest'
import { collecting, dueForCollection } from '../../../src/controller/declarations/garbage-collect.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { ManifestSource } from '../../../src/ports/manifest-source.ts'
import type { SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'
import { SimulatedSwarm } from '../../simulation/simulated-swarm.ts'
import { silentLog, virtualClock } from './virtual-clock.ts'

const afterMs = 600_000
const isValid = (): boolean => true

function snapshot(ids: readonly string[], complete = true, unproven: readonly { file: string; name: string }[] = []): SourceSnapshot {
  const collectable = ids.map((id) => ({ id, name: `config ${id}`, sinceMs: 0, unproven }))
  return { source: 'configs', complete, message: '', documents: [], collectable }
}

describe('superseded configs', () => {
  it('are due when they were superseded long enough ago, and only by a complete read', () => {
    const due = (nowMs: number, complete = true): number =>
      dueForCollection(snapshot(['a'], complete), { nowMs, collectAfterMs: afterMs, isValid }).length
    expect([due(afterMs - 1), due(afterMs), due(afterMs, false)]).toEqual([0, 1, 0])
  })

  it('are due only when every newer document that needs a class is valid with it', () => {
    const unproven = [
      { file: 'v2', name: 'web' },
      { file: 'v3', name: 'db' },
    ]
    const due = (...valid: readonly string[]): number => {
      const ports = { nowMs: afterMs, collectAfterMs: afterMs, isValid: (file: string, vm: string) => valid.includes(`${file}/${vm}`) }
      return dueForCollection(snapshot(['a'], true, unproven), ports).length
    }
    expect([due(), due('v2/web'), due('v2/web', 'v3/db')]).toEqual([0, 0, 1])
  })

  it('are removed when they are due, also if another controller removed some of them', async () => {
    const clock = virtualClock()
    const swarm = new SimulatedSwarm(() => clock.now())
    const ids: string[] = []
    for (const name of ['a', 'b', 'c']) ids.push(await swarm.createConfig(name, {}, new Uint8Array([1])))
    const source: ManifestSource = { read: async () => snapshot(ids.slice(0, 2)), watch: () => () => undefined }
    const two = [1, 2].map(() => collecting(source, { swarm, clock, log: silentLog, collectAfterMs: clock.now() + afterMs, isValid }))
    await Promise.all(two.map((one) => one.read()))
    expect([...swarm.configs.values()].map((one) => one.name)).toEqual(['a', 'b', 'c'])
    await clock.pass(afterMs)
    await Promise.all(two.map((one) => one.read()))
    expect([...swarm.configs.values()].map((one) => one.name)).toEqual(['c'])
  })

  it('that cannot be removed block nothing, and are logged once', async () => {
    const clock = virtualClock()
    const said: string[] = []
    const log = { ...silentLog, warn: (about: object) => void said.push(JSON.stringify(about)) }
    const swarm = { removeConfig: async (id: string) => Promise.reject(new PortError('Invalid', `${id} is in use by a service`)) }
    const source: ManifestSource = { read: async () => snapshot(['a', 'b']), watch: () => () => undefined }
    const built = collecting(source, { swarm, clock, log, collectAfterMs: 0, isValid })
    await built.read()
    await expect(built.read()).resolves.toMatchObject({ complete: true })
    expect(said).toEqual([expect.stringContaining('a is in use'), expect.stringContaining('b is in use')])
  })
})
