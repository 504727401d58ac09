import { describe, expect, it } from 'vitest'
import { TapLocks } from '../../../src/broker/tap-locks.ts'
import type { GuestFilter } from '../../../src/ports/guest-filter.ts'
import { HostError } from '../../../src/ports/host-network.ts'
import { silentLog } from '../controller/virtual-clock.ts'

const tap = 'sv0123456789ab'
const mac = '52:54:00:00:00:01'

/** A kernel whose rules are `rules`, by TAP, and whose TAPs are `taps`. */
function aKernel(rules: Record<string, string> = {}, taps: readonly string[] = [tap]) {
  const kernel = { rules: new Map(Object.entries(rules)), taps: new Set(taps), refusal: '' }
  const must = (): void => {
    if (kernel.refusal !== '') throw new HostError('Io', kernel.refusal)
  }
  const filter: GuestFilter = {
    async locks() {
      must()
      return [...kernel.rules].map(([name, of]) => ({ tap: name, mac: of }))
    },
    async lock(lock) {
      must()
      kernel.rules.set(lock.tap, lock.mac)
    },
    async keepOnly(wanted) {
      must()
      for (const name of kernel.rules.keys()) if (!wanted.has(name)) kernel.rules.delete(name)
    },
  }
  const locks = new TapLocks({ filter, network: { exists: (name) => kernel.taps.has(name) }, log: silentLog })
  return { kernel, locks, rules: () => Object.fromEntries(kernel.rules) }
}

describe('the locks of TAPs', () => {
  it('are in the kernel when a lock was made, and gone after their TAP', async () => {
    const { kernel, locks, rules } = aKernel()
    await locks.lock([{ tap, mac }])
    expect(rules()).toEqual({ [tap]: mac })
    expect(locks.fact([tap])).toEqual({ state: 'active', message: '' })
    kernel.taps.clear()
    await locks.sweep()
    expect(rules()).toEqual({})
    expect(locks.macOf(tap)).toBeUndefined()
  })

  it('of an earlier broker are kept for TAPs that are there, and removed for the others', async () => {
    const { locks, rules } = aKernel({ [tap]: mac, svaaaaaaaaaaaa: '52:54:00:00:00:02' })
    await locks.start()
    expect(rules()).toEqual({ [tap]: mac })
    expect(locks.macOf(tap)).toBe(mac)
  })

  it('come back when somebody flushed them or changed their MAC', async () => {
    const { kernel, locks, rules } = aKernel()
    await locks.lock([{ tap, mac }])
    for (const harm of [() => kernel.rules.clear(), () => kernel.rules.set(tap, '52:54:00:00:00:66')]) {
      harm()
      await locks.sweep()
      expect(rules()).toEqual({ [tap]: mac })
    }
  })

  it('that cannot be made are told with the reason, and tried again', async () => {
    const { kernel, locks, rules } = aKernel()
    kernel.refusal = 'nft: Operation not supported'
    await locks.start()
    await locks.lock([{ tap, mac }])
    await locks.sweep()
    expect(locks.fact([tap])).toEqual({ state: 'inactive', message: 'nft: Operation not supported' })
    kernel.refusal = ''
    await locks.sweep()
    expect(locks.fact([tap])).toEqual({ state: 'active', message: '' })
    expect(rules()).toEqual({ [tap]: mac })
  })
})
