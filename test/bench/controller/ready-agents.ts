import { parentOf } from '../../../src/api/nic-attachment.ts'
import type { Mac } from '../../../src/api/mac.ts'
import type { NodeFacts, PrepareOrder, PrepareStatus, VmStatus } from '../../../src/api/wire/agent-api.ts'
import type { Agent, Agents } from '../../../src/ports/agents.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { aMac } from '../../support/branded.ts'

const noMac = aMac('00:00:00:00:00:00')

/** Agents in this process. A VM is prepared at its first order, and then runs and answers. */
export function readyAgents(): Agents {
  const orders = new Map<string, PrepareOrder>()
  const byMac = (ip: string): Mac => macs.get(ip) ?? noMac
  const macs = new Map<string, Mac>()
  const agent: Agent = {
    facts: async () => facts,
    instances: async () => [],
    async prepare(order) {
      orders.set(order.uid, order)
      macs.set(addressOf(order.uid), order.nics[0]?.mac ?? noMac)
      return ready
    },
    progress: async ({ uid, order }) => (orders.get(uid)?.mark === order ? ready : { state: 'none' }),
    revoke: async (uid) => void orders.delete(uid),
    async deleteDisks({ uid }) {
      orders.delete(uid)
      return { state: 'gone' }
    },
    async vm(uid) {
      const order = orders.get(uid)
      if (order === undefined) throw new PortError('NotFound', `no VM ${uid} here`)
      return statusOf(order)
    },
    control: () => Promise.resolve(),
    async probe(request) {
      const mac = 'ip' in request ? byMac(request.ip) : null
      return { outcome: 'reached', reason: '', message: '', mac, rttMs: 0.2 }
    },
    async unchanged(known) {
      // The controller's cost of the request. The agent's work would be in another process.
      JSON.parse(JSON.stringify({ version: 1, known }))
      return [...known.keys()]
    },
  }
  return { on: () => agent }
}

const ready: PrepareStatus = { state: 'ready', accelerator: 'tcg', emulationReason: 'KVM is not used here' }

/** One for each VM, from the first digits of its uid. */
function addressOf(uid: string): string {
  const number = Number.parseInt(uid.replaceAll('-', '').slice(0, 6), 16)
  return `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`
}

function statusOf({ uid, nics }: PrepareOrder): VmStatus {
  const held = nics.map((nic) => ({ name: nic.name, tap: 'sv0', bridge: parentOf(nic), mac: nic.mac, carrier: true, attached: true }))
  return {
    version: 1,
    uid,
    lease: { uid, granted: true, held: true, waiting: 0, waitReason: null, waitMessage: null, nics: held, guestFilter },
    sightings: nics.map((nic) => ({ mac: nic.mac, ip: addressOf(uid), via: 'dhcp', ageMs: 1_000, interface: parentOf(nic) })),
    runner: {
      uid,
      phase: 'Running',
      message: '',
      accelerator: 'tcg',
      qemuStatus: 'running',
      launchHash: '',
      release: '0.1.0',
      // After the creation of every task, or the controller takes it for the runner of an earlier one.
      startedAt: '2100-01-01T00:00:00.000Z',
      restarts: 0,
      hardening: { uid: 30702, capEff: '0', capBnd: '0', noNewPrivs: true, seccomp: 2 },
    },
    runnerMessage: '',
    brokerMessage: '',
  }
}

const guestFilter = { state: 'active', message: '' } as const
const device = { present: true, opens: true, message: '' }
const facts: NodeFacts = {
  version: 1,
  release: '0.1.0',
  hostname: 'bench',
  broker: {
    devices: { kvm: device, tun: device, vhostNet: device },
    bridges: [{ name: 'br0', mtu: 1500, carrier: true, up: true, address: null }],
  },
  brokerMessage: '',
  kvm: { state: 'unusable', reason: 'KvmHangs', message: 'no word from the guest in 2 s' },
  tcg: { works: true, message: '' },
  memoryBytes: 2 ** 50,
  cpus: 2,
  disk: { totalBytes: 2 ** 52, freeBytes: 2 ** 51 },
}
