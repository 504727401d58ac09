import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { manifestReader } from '../../src/adapters/manifest/manifest-yaml.ts'
import type { VirtualMachine } from '../../src/api/manifest.ts'
import { resolveClasses } from '../../src/api/manifest/resolve-classes.ts'
import type { Deployment } from '../lab/deployment.ts'
import { buildGuest } from '../lab/guests/build-guest.ts'
import { guestPage, manifest, nodeOfVm, offerDisc, openE2e, otherNode, waitForCondition, waitGone, waitReady } from '../e2e/support.ts'

const directory = join(import.meta.dirname, '../../manifests')
const files = readdirSync(directory).filter((file) => file.endsWith('.yaml'))
const read = manifestReader()

function textOf(file: string): string {
  return readFileSync(join(directory, file), 'utf8')
}

/** The VMs of a sample, as the reader understands it. */
function vmsOf(file: string): readonly VirtualMachine[] {
  const documents = read('directory', file, new TextEncoder().encode(textOf(file)))
  const [resolved] = resolveClasses([{ source: 'directory', complete: true, message: '', documents }])
  return resolved?.documents.flatMap((one) => (one.ok ? [one.vm] : [])) ?? []
}

/** Two at a time hold three VMs at most: as many as the machine boots side by side, and whose removal at once is an ordinary one. */
const pairs = files.flatMap((file, index) => (index % 2 === 0 ? [[file, ...files.slice(index + 1, index + 2)]] : []))

/** Stays until the last one is gone. */
const anchor = 'anchor'
let deployment: Deployment

/** The reservation on the LAN's DHCP server for a sample that names a MAC and an address. */
async function setReservations(isWanted: boolean): Promise<void> {
  for (const { mac, address } of files.flatMap(vmsOf).flatMap((vm) => vm.spec.networks)) {
    if (address !== undefined) await deployment.lab.reserve(mac, isWanted ? address : null)
  }
}

/** Checks of a sample beyond Ready. */
const shown: Readonly<Record<string, () => Promise<void>>> = {
  async seeded() {
    const ip = (await deployment.vm('seeded'))?.facts['ip'] ?? ''
    const from = otherNode(deployment.lab, await nodeOfVm(deployment.lab, 'seeded'))
    expect(await guestPage(deployment.lab, ip, from)).toBe('seeded-by-cloud-init')
  },
  async halted() {
    deployment.writeManifest('halted.yaml', textOf('halted.yaml').replace('runStrategy: Halted', 'runStrategy: Always'))
    await waitReady(deployment, 'halted')
  },
}

async function tried({ metadata: { name }, spec }: VirtualMachine): Promise<void> {
  if (spec.runStrategy === 'Halted') {
    await waitForCondition(deployment, name, 'Ready', (one) => one.reason === 'Halted')
  } else {
    const { facts } = await waitReady(deployment, name, 300_000)
    const [first] = spec.networks
    const fixed = first?.ipv4?.address.replace(/\/.*/, '')
    if (first?.user === undefined) expect(facts['ip']).toMatch(fixed ?? first?.address ?? /^192\.168\.50\.1\d\d$/)
    else expect(facts['ssh']).toMatch(/^10\.77\.0\.\d:10\d\d\d$/)
  }
  await shown[name]?.()
}

function remove(some: readonly string[]): void {
  for (const file of some) deployment.removeManifest(file)
}

beforeAll(async () => {
  deployment = await openE2e()
  await setReservations(true)
  const { path } = await buildGuest('debian')
  for (const { stateRoot } of deployment.lab.nodes) copyFileSync(path, join(stateRoot, 'images/debian-13.qcow2'))
  await offerDisc(deployment.lab, 'tools.iso', 'TOOLS')
  // The removal of all VMs of a source at once would be blocked.
  deployment.writeManifest(`${anchor}.yaml`, manifest(anchor, { runStrategy: 'Halted' }))
})

afterAll(async () => {
  // Whatever a test that failed left: of one pair alone, since the others are gone by then.
  remove(files)
  await Promise.all(files.flatMap(vmsOf).map((vm) => waitGone(deployment, vm.metadata.name)))
  deployment.removeManifest(`${anchor}.yaml`)
  await waitGone(deployment, anchor)
  await setReservations(false)
})

describe('the samples, as they are', () => {
  it.each(pairs.map((pair) => [pair.join(' and '), pair] as const))(
    '%s: every VM becomes Ready, or is off, and does what the sample shows',
    async (_names, pair) => {
      for (const file of pair) deployment.writeManifest(file, textOf(file))
      await Promise.all(pair.flatMap(vmsOf).map(tried))
      // They go while the next ones boot.
      remove(pair)
    },
  )
})
