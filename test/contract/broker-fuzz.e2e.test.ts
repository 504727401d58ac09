/** The broker under hostile frames on its two kinds of sockets: it neither ends, nor hangs, nor keeps a descriptor. */
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fdSockets } from '../../src/adapters/linux/fd-sockets.ts'
import type { Grant } from '../../src/api/wire/common.ts'
import { arp, dhcpAck, dhcpRequest } from './broker/frames.ts'
import { mutation, seeded } from './broker/mutations.ts'
import { Admin, eventually, type Speaker, World } from './broker/world.ts'
import { isWhole } from '../whole.ts'
import { aMac, aUid, aVmName } from '../support/branded.ts'

/** Connections, each with a frame or many. */
const runs = isWhole ? 20_000 : 1_500
const atOnce = 50
let world: World
let broker: Speaker
let admin: Admin
let neighbour: Speaker

const grantOf = (last: string): Grant => ({
  version: 1,
  uid: aUid(`00000000-0000-4000-8000-0000000000${last}`),
  vm: aVmName(`vm-${last}`),
  accelerator: 'tcg',
  nics: [{ name: 'lan', bridge: 'br0', mac: aMac(`52:54:00:00:00:${last}`), mtu: null }],
})
const [own, hostile] = [grantOf('01'), grantOf('02')]

const ofRunner = [
  { type: 'hello', protocol: 'swarmvirt.broker-runner', version: 1, uid: hostile.uid },
  { type: 'hello', protocol: 'swarmvirt.broker-runner', version: 1, uid: own.uid, container: 'a'.repeat(64) },
  { type: 'acquire' },
  { type: 'reclaim', taps: ['sv0123456789ab'] },
]
/** None of these revokes the neighbour's grant, however it is changed: the agent may. */
const ofAgent = [
  { id: 1, type: 'grant', grant: hostile },
  { id: 2, type: 'check', grant: hostile },
  { id: 3, type: 'leases', uids: [hostile.uid] },
  { id: 4, type: 'sightings', macs: ['52:54:00:00:00:02'] },
  { id: 5, type: 'ping', ip: '192.168.77.2', timeoutMs: 10 },
]

beforeAll(async () => {
  world = new World()
  broker = world.startBroker()
  admin = await Admin.connect(world.paths.adminSocket)
  for (const grant of [own, hostile]) expect(await admin.grant(grant)).toMatchObject({ type: 'ok' })
  neighbour = world.startRunner(own.uid)
  await neighbour.hears('welcome')
  neighbour.tell('acquire')
  await neighbour.hears('granted')
})
afterAll(async () => {
  admin?.close()
  await world?.close()
})

function descriptors(): readonly string[] {
  return readdirSync(`/proc/${broker.child.pid}/fd`)
}

function residentMiB(): number {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${broker.child.pid}/status`, 'utf8'))?.[1]
  return Number(kib) / 1024
}

/** Sends the bytes and waits for the end of the connection, which this side causes at the latest. */
function throwAt(path: string, bytes: readonly Buffer[]): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.on('error', () => undefined).on('close', () => resolve())
    socket.on('connect', () => {
      for (const one of bytes) socket.write(one)
      socket.end()
    })
    socket.resume()
  })
}

async function storm(path: string, frames: readonly object[], seed: number): Promise<void> {
  const random = seeded(seed)
  for (let run = 0; run < runs; run += atOnce) {
    const connections = Array.from({ length: atOnce }, () =>
      Array.from({ length: 1 + Math.floor(random() * 4) }, () => mutation(random, frames)),
    )
    await Promise.all(connections.map((bytes) => throwAt(path, bytes)))
  }
}

/** The broker serves its agent, and the neighbour holds its lease and its TAP. */
async function expectOthersServed(): Promise<void> {
  const answer = await admin.ask({ type: 'leases', uids: [own.uid] })
  expect(answer).toMatchObject({ type: 'leases', leases: [{ uid: own.uid, held: true }] })
  expect(neighbour.said.filter(({ type }) => type === 'closed')).toEqual([])
  expect(broker.child.exitCode).toBeNull()
}

describe('the broker', () => {
  it('takes thousands of hostile frames on the socket of a runner, and keeps nothing of them', async () => {
    const before = descriptors().length
    await storm(world.paths.brokerSocket(hostile.uid), ofRunner, 1)
    await eventually('the descriptors to be closed', () => (descriptors().length <= before ? true : undefined))
    await expectOthersServed()
  }, 300_000)

  it('takes them on the socket of the agent, from its first byte and after a valid request', async () => {
    const before = descriptors().length
    await storm(world.paths.adminSocket, ofAgent, 2)
    await eventually('the descriptors to be closed', () => (descriptors().length <= before ? true : undefined))
    expect(await admin.grant(own)).toMatchObject({ type: 'ok' })
    await expectOthersServed()
  }, 300_000)

  it('closes descriptors that come with hostile frames', async () => {
    const before = descriptors().length
    const random = seeded(3)
    const fd = openSync('/dev/null', 'r')
    for (let run = 0; run < 200; run += 1) {
      // The broker may be behind with its queue of connections.
      const connection = await eventually('a connection', () =>
        fdSockets()
          .connect(world.paths.brokerSocket(hostile.uid))
          .catch(() => undefined),
      )
      const bytes = mutation(random, ofRunner)
      connection.send(
        bytes.length === 0 ? Buffer.from('\n') : bytes,
        Array.from({ length: 1 + (run % 8) }, () => fd),
      )
      await connection.flushed().catch(() => undefined)
      connection.close()
    }
    closeSync(fd)
    await eventually('the descriptors to be closed', () => (descriptors().length <= before ? true : undefined))
    await expectOthersServed()
  })

  it('serves others while one runner opens connections without end and floods each of them', async () => {
    const over = new AbortController()
    const line = Buffer.from(`${JSON.stringify(ofRunner[0])}\n`.repeat(500))
    const flood = async (): Promise<void> => {
      while (!over.signal.aborted) await throwAt(world.paths.brokerSocket(hostile.uid), [line, line, line])
    }
    const floods = Array.from({ length: 32 }, flood)
    for (let turn = 0; turn < 50; turn += 1) await expectOthersServed()
    const late = world.startRunner(own.uid)
    await late.hears('welcome')
    await late.end()
    over.abort()
    await Promise.all(floods)
    await expectOthersServed()
  })

  it('keeps few of 20,000 addresses that a guest claims, and none of them for another VM', async () => {
    const guest = world.startRunner(hostile.uid)
    await guest.hears('welcome')
    guest.tell('acquire')
    await guest.hears('granted')
    const [mac, victim] = [hostile.nics[0]?.mac ?? '', own.nics[0]?.mac ?? '']
    const before = residentMiB()
    for (let index = 0; index < 20_000; index += 1) {
      const senderIp = `10.7.${index >> 8}.${index & 255}`
      guest.tell(`frame ${arp({ from: mac, senderIp, operation: index % 2 === 0 ? 'request' : 'reply' }).toString('hex')}`)
      if (index % 10 === 0) guest.tell(`frame ${dhcpRequest({ from: mac, client: mac, xid: index, ip: senderIp }).toString('hex')}`)
      if (index % 10 === 1)
        guest.tell(`frame ${dhcpAck({ from: mac, client: victim, xid: index, ip: senderIp, to: victim }).toString('hex')}`)
    }
    // The kernel drops frames of the flood.
    const claimed = await eventually('an address of the guest', async () => {
      guest.tell(`frame ${arp({ from: mac, senderIp: '10.8.0.1' }).toString('hex')}`)
      const answer = await admin.ask({ type: 'sightings', macs: [mac, victim] })
      return answer.type === 'sightings' && answer.sightings.some(({ ip }) => ip === '10.8.0.1') ? answer.sightings : undefined
    })
    expect(claimed.filter((one) => one.mac === victim)).toEqual([])
    expect(claimed.length).toBeLessThanOrEqual(40)
    expect(residentMiB()).toBeLessThan(before + 64)
    await guest.end()
    await expectOthersServed()
  })

  it('needs no more memory for the same again', async () => {
    const before = residentMiB()
    await storm(world.paths.brokerSocket(hostile.uid), ofRunner, 4)
    await storm(world.paths.adminSocket, ofAgent, 5)
    await expectOthersServed()
    process.stdout.write(`resident: ${before.toFixed(0)} MiB, then ${residentMiB().toFixed(0)} MiB\n`)
    expect(residentMiB()).toBeLessThan(before + 64)
  }, 300_000)
})
