import { describe, expect, it } from 'vitest'
import { TapLocks } from '../../../src/broker/tap-locks.ts'
import type { GuestFilter } from '../../../src/ports/guest-filter.ts'
import { HostError } from '../../../src/ports/host-network.ts'
import { silentLog } from '../controller/virtual-clock.ts'
import { aMac } from '../../support/branded.ts'
import type { Mac } from '../../../src/api/mac.ts'

const tap = 'sv0123456789ab'
const mac = aMac('52:54:00:00:00:01')

/** A kernel whose rules are `rules`, by TAP, and whose TAPs are `taps`. */
function aKernel(rules: Record<string, Mac> = {}, taps: readonly string[] = [tap]) {
  const kernel = {
    rules: new Map(Object.entries(rules)),
    taps: new Set(taps),
    /** TAPs that let every MAC pass. */
    free: new Set<string>(),
    refusal: '',
    /** The rules for the bridge are there. */
    guardsPorts: true,
    refused: new Set<string>(),
    /** Every call of `lock`, by its TAPs. */
    calls: [] as string[][],
    reads: 0,
    onLock: (): void => undefined,
  }
  const must = (): void => {
    if (kernel.refusal !== '') throw new HostError('Io', kernel.refusal)
  }
  const filter: GuestFilter = {
    async locks() {
      kernel.reads += 1
      must()
      return [...kernel.rules].map(([name, of]) => ({
        tap: name,
        mac: of,
        complete: kernel.guardsPorts,
        ...(kernel.free.has(name) ? { antiSpoof: 'off' as const } : {}),
      }))
    },
    async lock(locks) {
      must()
      kernel.calls.push(locks.map((lock) => lock.tap))
      kernel.onLock()
      if (locks.some((lock) => kernel.refused.has(lock.tap) || !kernel.taps.has(lock.tap))) throw new HostError('Io', 'nft: refused')
      for (const lock of locks) {
        kernel.rules.set(lock.tap, lock.mac)
        if (lock.antiSpoof === 'off') kernel.free.add(lock.tap)
        else kernel.free.delete(lock.tap)
      }
      kernel.guardsPorts = true
    },
    async removeUnless(isKept) {
      must()
      for (const name of kernel.rules.keys()) if (!isKept(name)) kernel.rules.delete(name)
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
    expect(locks.lockOf(tap)).toBeUndefined()
  })

  it('that let every MAC pass are taken over from an earlier broker, and come back after a change', async () => {
    const { kernel, locks } = aKernel()
    kernel.free.add(tap)
    kernel.rules.set(tap, mac)
    await locks.start()
    expect(locks.lockOf(tap)).toEqual({ tap, mac, antiSpoof: 'off' })
    await locks.sweep()
    kernel.free.clear()
    await locks.sweep()
    expect(kernel.free.has(tap)).toBe(true)
  })

  it('of an earlier broker are kept for TAPs that are there, and removed for the others', async () => {
    const { locks, rules } = aKernel({ [tap]: mac, svaaaaaaaaaaaa: aMac('52:54:00:00:00:02') })
    await locks.start()
    expect(rules()).toEqual({ [tap]: mac })
    expect(locks.lockOf(tap)?.mac).toBe(mac)
  })

  it('come back when somebody flushed them or changed their MAC', async () => {
    const { kernel, locks, rules } = aKernel()
    await locks.lock([{ tap, mac }])
    for (const harm of [() => kernel.rules.clear(), () => kernel.rules.set(tap, aMac('52:54:00:00:00:66'))]) {
      harm()
      await locks.sweep()
      expect(rules()).toEqual({ [tap]: mac })
    }
  })

  it('that cannot be created are reported with the reason, and tried again', async () => {
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

  it('of running VMs stay where what an earlier broker left cannot be read at first', async () => {
    const { kernel, locks, rules } = aKernel({ [tap]: mac, svaaaaaaaaaaaa: aMac('52:54:00:00:00:02') })
    kernel.refusal = 'nft did not end within 10 s'
    await locks.start()
    kernel.refusal = ''
    await locks.sweep()
    expect(rules()).toEqual({ [tap]: mac })
    expect(locks.lockOf(tap)?.mac).toBe(mac)
  })

  it('tell the MAC also where somebody removed the rules of the bridge, which come back', async () => {
    const { kernel, locks } = aKernel({ [tap]: mac })
    kernel.guardsPorts = false
    await locks.start()
    expect(locks.lockOf(tap)?.mac).toBe(mac)
    await locks.sweep()
    expect(kernel.guardsPorts).toBe(true)
  })

  it('that are in the kernel after a failure are reported as active by the next sweep', async () => {
    const { kernel, locks } = aKernel({ [tap]: mac })
    await locks.start()
    await locks.sweep()
    kernel.refusal = 'nft did not end within 10 s'
    await locks.lock([{ tap, mac }])
    kernel.refusal = ''
    await locks.sweep()
    expect(locks.fact([tap])).toEqual({ state: 'active', message: '' })
  })

  it('of an earlier broker are created again once, because it may have had other rules', async () => {
    const { kernel, locks } = aKernel({ [tap]: mac })
    await locks.start()
    await locks.sweep()
    await locks.sweep()
    expect(kernel.calls).toEqual([[tap]])
  })
})

describe('the locks of many TAPs', () => {
  const names = Array.from({ length: 9 }, (_, at) => `sv00000000000${at}`)
  const all = Object.fromEntries(names.map((name) => [name, mac]))

  it('come back together', async () => {
    const { kernel, locks, rules } = aKernel({}, names)
    await locks.lock(names.map((name) => ({ tap: name, mac })))
    kernel.rules.clear()
    await locks.sweep()
    expect(rules()).toEqual(all)
    expect(kernel.calls).toEqual([names, names])
  })

  it('are restored except for one that the kernel rejects, and for TAPs that are gone', async () => {
    const { kernel, locks, rules } = aKernel(all, names)
    await locks.start()
    const [refused = '', ...others] = names
    kernel.rules.clear()
    kernel.refused.add(refused)
    kernel.onLock = () => others.slice(0, 4).forEach((name) => kernel.taps.delete(name))
    await locks.sweep()
    expect(Object.keys(rules())).toEqual(others.slice(4))
    expect(locks.fact([refused])).toEqual({ state: 'inactive', message: 'nft: refused' })
  })

  it('are not all tried if nft itself fails, and are all reported', async () => {
    const { kernel, locks } = aKernel({}, names)
    for (const name of names) kernel.refused.add(name)
    await locks.lock(names.map((name) => ({ tap: name, mac })))
    expect(kernel.calls).toHaveLength(4)
    for (const name of names) expect(locks.fact([name]).state).toBe('inactive')
  })

  it('are checked by one sweep at a time, however long it takes', async () => {
    const { kernel, locks } = aKernel(all, names)
    await Promise.all([locks.start(), ...Array.from({ length: 50 }, () => locks.sweep())])
    expect({ made: kernel.calls, reads: kernel.reads }).toEqual({ made: [names], reads: 2 })
    await locks.sweep()
    expect({ made: kernel.calls, reads: kernel.reads }).toEqual({ made: [names], reads: 3 })
  })
})
