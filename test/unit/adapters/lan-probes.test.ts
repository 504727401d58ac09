import { openSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { lanProbes } from '../../../src/adapters/linux/lan-probes.ts'
import type { Libc } from '../../../src/adapters/linux/libc.ts'

const loopback = { name: 'lo', mtu: 1500, carrier: true, up: true, address: '127.0.0.1' }

describe('probing a LAN that is flooded', () => {
  it('leaves the turn to others after some frames', async () => {
    let frames = 10_000
    const libc = {
      socket: () => openSync('/dev/null', 'r'),
      setsockopt: () => undefined,
      bind: () => undefined,
      address: () => 0n,
      sendto: () => undefined,
      recvmsg: () => (frames-- > 0 ? 60 : undefined),
    } as unknown as Libc
    const turns: number[] = []
    const poller = {
      watch: (_fd: number, onReady: () => void) => ({
        want() {
          const before = frames
          queueMicrotask(() => {
            onReady()
            turns.push(before - frames)
          })
        },
        close: () => undefined,
      }),
    }
    const outcome = await lanProbes(libc, poller).arp(loopback, '192.0.2.1', 50)
    expect(outcome.outcome).toBe('unreached')
    expect(turns).toHaveLength(1)
    expect(turns[0]).toBeLessThanOrEqual(64)
  })
})
