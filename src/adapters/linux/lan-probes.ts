import { randomBytes } from 'node:crypto'
import { closeSync } from 'node:fs'
import type { Mac } from '../../api/mac.ts'
import { arpProbe, icmpEcho, ipBytes, parseArp, parseEchoReply } from '../../api/packets.ts'
import type { ProbeOutcome } from '../../api/wire/broker-admin.ts'
import type { LanFact, LanProbes } from '../../ports/host-network.ts'
import { interfaceIndex, interfaceMac } from './interfaces.ts'
import { type Libc, pinned } from './libc.ts'
import { ethPArp, linkAddress, packetReader, packetSocket } from './packet.ts'
import type { Poller } from './poller.ts'

const afInet = 2
const sockRaw = 3
const ipprotoIcmp = 1
const solSocket = 1
const soBindtodevice = 25
const solRaw = 255
const icmpFilter = 1
/** All types except echo replies (0). */
const allButEchoReply = 0xffff_fffe

/** One lost packet must not decide. Three are spread over the timeout, and the last one gets at least 20 ms. */
const attempts = 3
const leastIntervalMs = 20
/** A flooded LAN always has one more frame. The broker has other work, such as this probe's deadline. */
const maxFramesPerTurn = 64

interface Attempt {
  readonly fd: number
  send(): void
  /** `lesser` is an answer that only counts if no better one arrives before the deadline. */
  read(): { readonly kind: 'answer' | 'lesser'; readonly mac: Mac | null } | 'other' | 'none'
}

export function lanProbes(libc: Libc, poller: Poller): LanProbes {
  return {
    arp: (bridge, ip, mac, timeoutMs) =>
      tried(bridge, ip, async () => {
        const answer = await ask(poller, timeoutMs, arpAttempt(libc, bridge.name, ip, mac))
        if (answer === undefined) return unreached('NoArpReply', `nothing on ${bridge.name} answered for ${ip} within ${timeoutMs} ms`)
        return reached('ArpReply', `${answer.mac ?? 'somebody'} has ${ip}`, answer)
      }),
    ping: (bridge, ip, timeoutMs) =>
      tried(bridge, ip, async () => {
        if (bridge.address === null)
          return unknown('NoAddressOnBridge', `this node has no IPv4 address on ${bridge.name} to ping from; ARP can still check ${ip}`)
        const answer = await ask(poller, timeoutMs, pingAttempt(libc, bridge.name, ip))
        if (answer === undefined) return unreached('NoEchoReply', `${ip} sent no echo reply within ${timeoutMs} ms`)
        return reached('EchoReply', `${ip} answered`, answer)
      }),
  }
}

type Answer = { readonly mac: Mac | null; readonly rttMs: number }

async function tried(bridge: LanFact, ip: string, probe: () => Promise<ProbeOutcome>): Promise<ProbeOutcome> {
  if (bridge.address === ip) return unknown('OwnAddress', `${ip} is this node's own address on ${bridge.name}`)
  try {
    return await probe()
  } catch (error) {
    return unknown('ProbeFailed', `cannot send the probe on ${bridge.name}: ${(error as Error).message}`)
  }
}

function reached(reason: string, message: string, answer: Answer): ProbeOutcome {
  return { outcome: 'reached', reason, message, mac: answer.mac, rttMs: answer.rttMs }
}

function unreached(reason: string, message: string): ProbeOutcome {
  return { outcome: 'unreached', reason, message, mac: null, rttMs: null }
}

function unknown(reason: string, message: string): ProbeOutcome {
  return { outcome: 'unknown', reason, message, mac: null, rttMs: null }
}

/** Sends at once and then at intervals, until an answer or the timeout. Owns the attempt's descriptor. */
function ask(poller: Poller, timeoutMs: number, attempt: Attempt): Promise<Answer | undefined> {
  return new Promise((resolve, reject) => {
    let sentAt = 0
    let lesser: Answer | undefined
    const send = (): void => {
      sentAt = performance.now()
      try {
        attempt.send()
      } catch (error) {
        end(() => reject(error))
      }
    }
    const watch = poller.watch(attempt.fd, () => {
      try {
        for (let count = 0; count < maxFramesPerTurn; count++) {
          const heard = attempt.read()
          if (heard === 'none') return
          if (heard === 'other') continue
          const answer = { mac: heard.mac, rttMs: Math.round((performance.now() - sentAt) * 1000) / 1000 }
          if (heard.kind === 'answer') return end(() => resolve(answer))
          lesser ??= answer
        }
      } catch (error) {
        end(() => reject(error))
      }
    })
    const again = setInterval(send, Math.max(leastIntervalMs, timeoutMs / attempts))
    const deadline = setTimeout(() => end(() => resolve(lesser)), timeoutMs)
    let ended = false
    const end = (settle: () => void): void => {
      if (ended) return
      ended = true
      clearInterval(again)
      clearTimeout(deadline)
      watch.close()
      closeSync(attempt.fd)
      settle()
    }
    watch.want(true, false)
    send()
  })
}

function arpAttempt(libc: Libc, bridge: string, ip: string, wanted: Mac | undefined): Attempt {
  const index = interfaceIndex(bridge)
  const mac = interfaceMac(bridge)
  if (index === undefined || mac === undefined) throw new Error('it is gone')
  const reader = packetReader(libc)
  const fd = packetSocket(libc, index, 'arp')
  const to = linkAddress(ethPArp, index)
  to.writeUInt8(6, 11)
  to.fill(0xff, 12, 18)
  const probe = Buffer.from(arpProbe(mac, ip))
  return {
    fd,
    send: () => libc.sendto(fd, probe, to),
    read() {
      const packet = reader.read(fd)
      if (packet === undefined) return 'none'
      const arp = packet.direction === 'received' ? parseArp(packet.frame) : undefined
      // A reply with another MAC than its own sender is forged.
      if (arp?.senderIp !== ip || arp.frameSource !== arp.senderMac) return 'other'
      return { kind: wanted === undefined || wanted === arp.senderMac ? 'answer' : 'lesser', mac: arp.senderMac }
    },
  }
}

function pingAttempt(libc: Libc, bridge: string, ip: string): Attempt {
  const fd = libc.socket(afInet, sockRaw, ipprotoIcmp)
  try {
    libc.setsockopt(fd, solSocket, soBindtodevice, Buffer.from(`${bridge}\0`))
    const filter = pinned(4)
    filter.writeUInt32LE(allButEchoReply)
    libc.setsockopt(fd, solRaw, icmpFilter, filter)
  } catch (error) {
    closeSync(fd)
    throw error
  }
  const nonce = randomBytes(18)
  const identifier = nonce.readUInt16BE(16)
  const to = pinned(16)
  to.writeUInt16LE(afInet, 0)
  to.set(ipBytes(ip), 4)
  const reader = packetReader(libc)
  let sequence = 0
  return {
    fd,
    send() {
      sequence += 1
      libc.sendto(fd, Buffer.from(icmpEcho(identifier, sequence, nonce)), to)
    },
    read() {
      const packet = reader.read(fd)
      if (packet === undefined) return 'none'
      const reply = parseEchoReply(packet.frame)
      return reply?.source === ip && reply.identifier === identifier && nonce.equals(reply.nonce) ? { kind: 'answer', mac: null } : 'other'
    },
  }
}
