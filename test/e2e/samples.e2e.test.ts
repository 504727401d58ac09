import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { manifestReader } from '../../src/adapters/manifest-yaml.ts'
import type { VirtualMachine } from '../../src/api/manifest.ts'
import { resolveClasses } from '../../src/ports/resolve-classes.ts'
import type { Deployment } from '../lab/deployment.ts'
import { guestPage, nodeOfVm, openE2e, otherNode, waitForCondition, waitGone, waitReady } from './support.ts'

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

let deployment: Deployment

/** What a sample that names a MAC and an address asks of the LAN's DHCP server. */
async function setReservations(isWanted: boolean): Promise<void> {
  for (const { mac, address } of files.flatMap(vmsOf).flatMap((vm) => vm.spec.networks)) {
    if (address !== undefined) await deployment.lab.reserve(mac, isWanted ? address : null)
  }
}

async function settled({ metadata: { name }, spec }: VirtualMachine): Promise<void> {
  if (spec.runStrategy === 'Halted') {
    await waitForCondition(deployment, name, 'Ready', (one) => one.reason === 'Halted')
    return
  }
  const { facts } = await waitReady(deployment, name)
  const { address } = spec.networks[0] ?? {}
  expect(facts['ip']).toMatch(address ?? /^192\.168\.50\.1\d\d$/)
}

beforeAll(async () => {
  deployment = await openE2e()
  await setReservations(true)
})

afterAll(async () => {
  for (const pair of pairs) {
    for (const file of pair) deployment.removeManifest(file)
    await Promise.all(pair.flatMap(vmsOf).map((vm) => waitGone(deployment, vm.metadata.name)))
  }
  await setReservations(false)
})

describe('the samples, as they are', () => {
  it.each(pairs.map((pair) => [pair.join(' and '), pair] as const))('%s: every VM becomes Ready, or is off', async (_names, pair) => {
    for (const file of pair) deployment.writeManifest(file, textOf(file))
    await Promise.all(pair.flatMap(vmsOf).map(settled))
  })

  it('give the guest what cloud-init was told', async () => {
    const ip = (await deployment.vm('seeded'))?.facts['ip'] ?? ''
    const from = otherNode(deployment.lab, await nodeOfVm(deployment.lab, 'seeded'))
    expect(await guestPage(deployment.lab, ip, from)).toBe('seeded-by-cloud-init')
  })

  it('start a VM that is off when its manifest says Always', async () => {
    deployment.writeManifest('halted.yaml', textOf('halted.yaml').replace('runStrategy: Halted', 'runStrategy: Always'))
    await waitReady(deployment, 'halted')
  })
})
