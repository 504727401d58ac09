import { openSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { lanProbes } from '../../../src/adapters/linux/lan-probes.ts'
import type { Libc } from '../../../src/adapters/linux/libc.ts'
import type { ProbeOutcome } from '../../../src/api/wire/broker-admin.ts'
import { arp } from '../../contract/broker/frames.ts'
import { aMac } from '../../support/branded.ts'
import type { Mac } from '../../../src/api/mac.ts'

const loopback = { name: 'lo', mtu: 1500, carrier: true, up: true, address: '127.0.0.1' }

const vm = aMac('52:54:00:00:00:01')
const hostile = aMac('52:54:00:00:00:66')

/** Where a reader of packets has its data, behind msghdr, iovec and an address of 20 bytes. */
const dataAt = 56 + 16 + 24

/** Asks who has 192.0.2.7 while these frames come in. */
function whoAnswers(frames: readonly Buffer[], wanted: Mac | undefined): Promise<ProbeOutcome> {
  const left = [...frames]
  const libc = {
    socket: () => openSync('/dev/null', 'r'),
    setsockopt: () => undefined,
    bind: () => undefined,
    address: () => 0n,
    sendto: () => undefined,
    recvmsg: (_fd: number, header: Buffer) => {
      const frame = left.shift()
      frame?.copy(Buffer.from(header.buffer, header.byteOffset + dataAt))
      return frame?.length
    },
  } as unknown as Libc
  const poller = { watch: (_fd: number, onReady: () => void) => ({ want: () => queueMicrotask(onReady), close: () => undefined }) }
  return lanProbes(libc, poller).arp(loopback, '192.0.2.7', wanted, 30)
}

describe('an ARP probe', () => {
  const own = arp({ from: vm, senderIp: '192.0.2.7', operation: 'reply' })
  const stolen = arp({ from: hostile, senderIp: '192.0.2.7', operation: 'reply' })
  const forged = arp({ from: hostile, sender: vm, senderIp: '192.0.2.7', operation: 'reply' })

  it.each([
    ['the first that answers', [stolen, own], undefined, hostile],
    ['the one that is waited for, also when another answers first', [stolen, stolen, own], vm, vm],
    ['another, when the one that is waited for does not answer', [stolen], vm, hostile],
    ['nobody, when one answers in the name of another', [forged], vm, null],
  ] as const)('finds %s', async (_, frames, wanted, mac) => {
    expect(await whoAnswers(frames, wanted)).toMatchObject({ outcome: mac === null ? 'unreached' : 'reached', mac })
  })
})

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
    const outcome = await lanProbes(libc, poller).arp(loopback, '192.0.2.1', undefined, 50)
    expect(outcome.outcome).toBe('unreached')
    expect(turns).toHaveLength(1)
    expect(turns[0]).toBeLessThanOrEqual(64)
  })
})
