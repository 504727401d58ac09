import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ConditionType } from '../../../src/api/conditions.ts'
import { layout } from '../../../src/api/layout.ts'
import { Admin } from '../../contract/broker/world.ts'
import { arp, dhcpAck, dhcpRequest } from '../../contract/broker/frames.ts'
import type { Deployment } from '../../lab/deployment.ts'
import type { NodeName } from '../../lab/lab.ts'
import { until } from '../../lab/run.ts'
import {
  conditionOf,
  containerOf,
  guestPage,
  isTrue,
  manifest,
  openE2e,
  removeManifests,
  reservedMac,
  waitForCondition,
  waitReady,
} from '../support.ts'

const victim = 'victim'
/** The first beside the victim, the second on the node that asks the LAN for the victim's address. */
const hostile = ['hostile-1', 'hostile-2'] as const
const address = '192.168.50.51'
const stolen = '192.168.50.66'
const everything = [2375, 2376, 2377, 4789, 7946, 9100, 9323, 9470, 9471, 9472]
/** The controller checks a VM that is Ready every 10 s. */
const overOneCheckMs = 12_500

let deployment: Deployment
const attackers: TapWriter[] = []

/** Sends frames through the TAP of a VM that runs. */
class TapWriter {
  readonly mac: string
  readonly #child: ChildProcessWithoutNullStreams
  readonly #waiting: PromiseWithResolvers<void>[] = []

  constructor(name: string, runnerPid: number) {
    this.mac = reservedMac(name)
    this.#child = spawn(process.execPath, [join(import.meta.dirname, 'tap-writer.ts'), String(runnerPid)], { stdio: 'pipe' })
    createInterface({ input: this.#child.stdout }).on('line', () => this.#waiting.shift()?.resolve())
    this.#child.once('exit', () => {
      for (const { reject } of this.#waiting) reject(new Error('the frames cannot be sent'))
    })
  }

  tell(command: string): Promise<void> {
    const done = Promise.withResolvers<void>()
    this.#waiting.push(done)
    this.#child.stdin.write(`${command}\n`)
    return done.promise
  }

  send(frame: Buffer): Promise<void> {
    return this.tell(`frame ${frame.toString('hex')}`)
  }

  end(): void {
    this.#child.kill()
  }
}

async function place(name: string, on: NodeName): Promise<void> {
  const others = deployment.lab.nodes.filter((node) => node.name !== on)
  const set = (availability: string) =>
    Promise.all(others.map((node) => deployment.lab.mustDocker('n1', ['node', 'update', '--availability', availability, node.name])))
  await set('pause')
  try {
    deployment.writeManifest(`${name}.yaml`, manifest(name))
    await waitForCondition(deployment, name, 'Placed', (one) => one.status === 'True')
  } finally {
    await set('active')
  }
}

/** Addresses that the brokers of all nodes tell of a MAC. */
async function toldOf(mac: string): Promise<string[]> {
  const perNode = await Promise.all(
    deployment.lab.nodes.map(async ({ stateRoot }) => {
      const admin = await Admin.connect(layout(stateRoot).adminSocket)
      const answer = await admin.ask({ type: 'sightings', macs: [mac] })
      admin.close()
      return answer.type === 'sightings' ? answer.sightings.map(({ ip }) => ip) : []
    }),
  )
  return [...new Set(perNode.flat())]
}

/** Those conditions that were not True, and every other address, over more than one check. */
async function whatWasSaidWrong(types: readonly ConditionType[]): Promise<string[]> {
  const said = new Set<string>()
  for (const end = Date.now() + overOneCheckMs; Date.now() < end; await sleep(300)) {
    const vm = await deployment.vm(victim)
    for (const wrong of (vm?.conditions ?? []).filter((one) => types.includes(one.type) && one.status !== 'True'))
      said.add(`${wrong.type} ${wrong.status} ${wrong.reason}: ${wrong.message}`)
    if (vm !== undefined && vm.facts['ip'] !== address) said.add(`address ${vm.facts['ip'] ?? 'none'}`)
  }
  return [...said]
}

/** TCP ports of an address that a guest can connect to, as the guest itself says. */
async function reachedBy(guest: string, target: string, ports: readonly number[]): Promise<number[]> {
  const ip = (await deployment.vm(guest))?.facts['ip'] ?? ''
  // A guest under emulation on a busy machine is late with its page, and asking again makes it later.
  const page = await guestPage(deployment.lab, ip, 'n3', `/cgi-bin/reach?${target}/${ports.join('/')}`, 60_000)
  return page
    .split('\n')
    .filter((line) => line !== '')
    .map(Number)
    .toSorted((one, other) => one - other)
}

beforeAll(async () => {
  deployment = await openE2e()
  await deployment.lab.reserve(reservedMac(victim), address)
  await place(victim, 'n1')
  await place(hostile[0], 'n1')
  await place(hostile[1], 'n2')
  for (const name of [victim, ...hostile]) await waitReady(deployment, name)
  for (const name of hostile) attackers.push(new TapWriter(name, (await containerOf(deployment.lab, name)).pid))
})

afterAll(async () => {
  for (const attacker of attackers) attacker.end()
  await removeManifests(deployment, [victim, ...hostile])
})

describe('a hostile guest', () => {
  it('runs on a node that filters what it sends, which a condition says', async () => {
    for (const name of hostile)
      expect(conditionOf(await deployment.vm(name), 'LinkUnfiltered')).toMatchObject({ status: 'False', reason: 'Filtered' })
  })

  it('can say of itself what it likes, which shows that its frames leave', async () => {
    for (const attacker of attackers) {
      await attacker.send(arp({ from: attacker.mac, senderIp: '192.168.50.99' }))
      await until(`the claim of ${attacker.mac}`, 30_000, async () =>
        (await toldOf(attacker.mac)).includes('192.168.50.99') ? true : undefined,
      )
    }
  })

  it("cannot move another VM's address or make it unreachable by forged DHCP, whatever transaction it names", async () => {
    const client = reservedMac(victim)
    for (const attacker of attackers) {
      const from = attacker.mac
      for (let xid = 1; xid <= 3; xid++) {
        await attacker.send(dhcpRequest({ from: client, client, xid, ip: stolen }))
        await attacker.send(dhcpRequest({ from, client, xid, ip: stolen }))
        await attacker.send(dhcpAck({ from, client, xid, ip: stolen }))
        await attacker.send(dhcpAck({ from, client, xid, ip: stolen, to: client }))
      }
    }
    expect(await toldOf(reservedMac(victim))).toEqual([address])
    expect(await whatWasSaidWrong(['AddressLearned', 'Reachable', 'Ready'])).toEqual([])
  })

  it("cannot do it by forged ARP either: in the victim's name, or by answering for its address", async () => {
    const sender = reservedMac(victim)
    const over = new AbortController()
    const claims = attackers.map(async (attacker) => {
      while (!over.signal.aborted) {
        for (const operation of ['request', 'reply'] as const) {
          await attacker.send(arp({ from: sender, senderIp: stolen, operation }))
          await attacker.send(arp({ from: attacker.mac, sender, senderIp: stolen, operation }))
          await attacker.send(arp({ from: attacker.mac, senderIp: address, operation }))
        }
        await sleep(20)
      }
    })
    // Traffic of the LAN goes where such a claim leads, and with it the readiness probe: that the guest is not ready for others is then true.
    const wrong = await whatWasSaidWrong(['AddressLearned', 'Reachable'])
    over.abort()
    await Promise.all(claims)
    expect(await toldOf(reservedMac(victim))).toEqual([address])
    expect(wrong).toEqual([])
  })

  it('cannot fill the forwarding table of any bridge with 20,000 MACs', async () => {
    // A readiness probe that failed because of the claims to its address succeeds with the next one.
    await waitReady(deployment, victim)
    const places = ['n1', 'n2', 'n3', 'lan'] as const
    for (const attacker of attackers)
      for (const to of ['ff:ff:ff:ff:ff:ff', '01:80:c2:00:00:0e', reservedMac(victim)]) await attacker.tell(`flood 20000 ${to}`)
    for (const place of places) {
      const table = await until(`${place} to know the guests`, 30_000, async () => {
        const shown = (await deployment.lab.exec(place, ['bridge', 'fdb', 'show'])).stdout
        return attackers.every(({ mac }) => shown.includes(mac)) ? shown : undefined
      })
      expect(table.split('\n').filter((line) => line.startsWith('52:54:99'))).toEqual([])
    }
    expect(isTrue(await deployment.vm(victim), 'Ready')).toBe(true)
  })

  it('reaches its neighbours and no Swarm, Docker, metrics or control port of any node, also not by way of its own node', async () => {
    expect(await reachedBy(hostile[0], address, [80])).toEqual([80])
    const { nodes } = deployment.lab
    // One gateway after the other, since the guest's routes go by it.
    const byGateway = [
      nodes.map(({ bridgeIp }) => bridgeIp),
      ...nodes.map((gateway) => nodes.map(({ managementIp }) => `${managementIp},${gateway.bridgeIp}`)),
    ]
    await Promise.all(
      hostile.map(async (guest) => {
        for (const targets of byGateway) {
          const reached = await Promise.all(targets.map(async (target) => [target, await reachedBy(guest, target, everything)]))
          expect([guest, reached]).toEqual([guest, targets.map((target) => [target, []])])
        }
      }),
    )
  })
})
