import { isRunning, once } from '../people.ts'
import type { SpecChanges } from '../cluster.ts'
import type { Scenario } from '../scenario.ts'

const [mac, otherMac] = ['52:54:00:00:00:07', '52:54:00:00:00:08']
const atMs = 7_000
/** Two minutes for a guest to power off, and what lies between. */
const extraMs = 180_000

function withMac(address: string, more: SpecChanges = {}): SpecChanges {
  return { networks: [{ name: 'lan', bridge: 'br0', mac: address }], ...more }
}

/** Conflicts over MACs. */
export const lan: readonly Scenario[] = [
  { name: 'two VMs want one MAC', vms: { web: withMac(mac), db: withMac(mac) }, acts: [], blocked: { web: 'ManifestInvalid' } },
  {
    name: 'a VM wants the MAC of another',
    vms: { web: withMac(mac) },
    acts: [[atMs, once(isRunning('web'), (world) => world.declare('db', withMac(mac)))]],
    blocked: { db: 'ManifestInvalid' },
  },
  {
    name: 'a MAC goes on when the VM that had it is switched off',
    vms: { web: withMac(mac) },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world) => {
          world.declare('web', withMac(otherMac, { runStrategy: 'Halted' }))
          world.declare('db', withMac(mac))
        }),
      ],
    ],
    extraMs,
  },
]
