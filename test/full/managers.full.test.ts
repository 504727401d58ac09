/**
 * Raft under faults, with the controller: it runs on n1 with the manifests, so n1 stays up and another manager leads, unless all go down at
 * once. Durations are printed beside those of the bare API, and may be slightly longer.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  bootCount,
  containerOf,
  containersOf,
  instanceDirectory,
  manifest,
  openE2e,
  otherNode,
  type RunnerContainer,
  serviceOf,
  removeManifests,
  uidOf,
  waitGone,
  waitReady,
  watchWriters,
} from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import type { Lab } from '../lab/lab.ts'
import { say, until } from '../lab/run.ts'
import { rounds } from './rounds.ts'
import { allBack, cut, leader, leadElsewhere } from './managers/raft.ts'

const keeper = 'keeper'
/**
 * Edited while managers are away: off, so that nothing but the managers takes time. No new ones: while a node is silent that may hold disks, none
 * is placed.
 */
const names = ['raft-a', 'raft-b', 'raft-c'] as const
let deployment: Deployment
let lab: Lab
let before: { readonly container: RunnerContainer; readonly uid: string }
let foreign = ''

const times = rounds(2)
/** A second or two, and what a busy machine takes on top. */
const mostBeyondApiMs = 5_000
/** Another one with each edit. */
let memoryMiB = 192

beforeAll(async () => {
  deployment = await openE2e()
  ;({ lab } = deployment)
  await lab.mustDocker('n1', ['config', 'create', '--label', 'owner=somebody', 'sv-vm-foreign', '-'], { input: 'not ours' })
  foreign = await foreignConfig()
  // On n1: a dockerd that was killed ends its containers when it is started again.
  await setAvailability('pause')
  deployment.writeManifest(`${keeper}.yaml`, manifest(keeper))
  await waitReady(deployment, keeper)
  await setAvailability('active')
})

async function setAvailability(availability: 'active' | 'pause'): Promise<void> {
  for (const node of ['n2', 'n3']) await lab.mustDocker('n1', ['node', 'update', '--availability', availability, node])
}

beforeEach(async () => {
  await leadElsewhere(lab)
  for (const name of names) declareHalted(name, `${memoryMiB}Mi`)
  for (const name of names) await isHalted(name)
  await waitReady(deployment, keeper, 240_000)
  before = { container: await containerOf(lab, keeper), uid: await uidOf(lab, keeper) }
})

afterAll(async () => {
  await removeManifests(deployment, [keeper, ...names])
  await lab.docker('n1', ['config', 'rm', 'sv-vm-foreign'])
})

/** The current manifest. */
function isHalted(name: string): Promise<unknown> {
  return until(
    `${name} to be halted`,
    240_000,
    async () => {
      const vm = await deployment.vm(name)
      const ready = vm?.conditions.find((one) => one.type === 'Ready')
      return vm?.generation === vm?.observedGeneration && ready?.reason === 'Halted' ? true : undefined
    },
    300,
  )
}

async function foreignConfig(): Promise<string> {
  return lab.mustDocker('n1', ['config', 'inspect', '--format', '{{json .}}', 'sv-vm-foreign'])
}

async function generationOf(name: string): Promise<string | undefined> {
  return (await serviceOf(lab, name))?.Spec.Labels['swarmvirt.generation']
}

interface Took {
  readonly apiMs: number
  readonly ourMs: number
}

/** How long until a manager answers a bare call, and until a manifest that is edited now has changed its service: both from now. */
async function edit(name: string, was: string | undefined): Promise<Took> {
  const generation = (): Promise<string | undefined> => generationOf(name).catch(() => undefined)
  memoryMiB += 16
  declareHalted(name, `${memoryMiB}Mi`)
  const beganMs = Date.now()
  const since = (): number => Date.now() - beganMs
  const api = until(
    'the API to answer',
    180_000,
    async () => ((await lab.docker('n1', ['service', 'ls', '--quiet'], { timeoutMs: 20_000 })).code === 0 ? since() : undefined),
    100,
  )
  const changed = async (): Promise<number | undefined> => {
    const now = await generation()
    return now === undefined || now === was ? undefined : since()
  }
  const ours = until(`the edit of ${name}`, 180_000, changed, 100)
  const [apiMs, ourMs] = await Promise.all([api, ours])
  return { apiMs, ourMs }
}

/** Nothing was lost, doubled or touched, and what was declared meanwhile is there. */
async function expectWhole(name: string): Promise<void> {
  await isHalted(name)
  await waitReady(deployment, keeper, 240_000)
  expect(await uidOf(lab, keeper)).toBe(before.uid)
  expect(await foreignConfig()).toBe(foreign)
  const records = await lab.mustDocker('n1', ['config', 'ls', '--filter', 'label=swarmvirt.component=placement', '--format', '{{.Name}}'])
  const listed = records.split('\n').filter((one) => one === `sv-vm-${keeper}` || one === `sv-vm-${name}`)
  expect(listed.toSorted()).toEqual([`sv-vm-${keeper}`, `sv-vm-${name}`])
}

function declareHalted(name: string, memory: string): void {
  deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy: 'Halted', memory }))
}

function tell(what: string, { apiMs, ourMs }: Took): void {
  say(`${what}: the bare API answered after ${(apiMs / 1000).toFixed(1)} s, the edit was made after ${(ourMs / 1000).toFixed(1)} s`)
}

function expectSoon(what: string, took: Took): void {
  tell(what, took)
  expect(took.ourMs - took.apiMs).toBeLessThan(mostBeyondApiMs)
}

async function expectNotRestarted(): Promise<void> {
  expect(await containersOf(lab, keeper)).toEqual([before.container])
}

describe.each(times)('with managers away, time %i', (round) => {
  it('a killed leader costs no more than the election, and nothing else', async () => {
    const led = await leader(lab)
    const was = await generationOf(names[0])
    await lab.killDockerd(led)
    expectSoon(`${round}: leader killed`, await edit(names[0], was))
    await lab.startDockerd(led)
    await allBack(lab)
    await expectWhole(names[0])
    await expectNotRestarted()
  })

  it('a leader that is cut off from another manager, and mended', async () => {
    const led = await leader(lab)
    const was = await generationOf(names[1])
    const other = lab.nodes.map((node) => node.name).find((name) => name !== led && name !== 'n1') ?? 'n3'
    await cut(lab, led, other, 'cut')
    try {
      expectSoon(`${round}: leader and follower partitioned`, await edit(names[1], was))
    } finally {
      await cut(lab, led, other, 'mend')
    }
    await allBack(lab)
    await expectWhole(names[1])
    await expectNotRestarted()
  })

  it('a lost quorum stops every write and loses no requested one', async () => {
    const was = await generationOf(names[2])
    await lab.killDockerd('n2')
    await lab.killDockerd('n3')
    deployment.removeManifest(`${names[0]}.yaml`)
    const edited = edit(names[2], was)
    // Longer than a grace, so that a removal is due when there are managers again.
    await new Promise((resolve) => setTimeout(resolve, 12_000))
    await Promise.all([lab.startDockerd('n2'), lab.startDockerd('n3')])
    expectSoon(`${round}: quorum lost for 12 s`, await edited)
    await allBack(lab)
    await waitGone(deployment, names[0])
    await expectWhole(names[2])
    await expectNotRestarted()
  })

  it('every dockerd killed at once: what ran comes back on its own disk, with one writer, and an edit is made', async () => {
    const { node } = before.container
    const ip = (await waitReady(deployment, keeper)).facts['ip'] ?? ''
    const boots = await bootCount(lab, ip, otherNode(lab, node))
    const writers = watchWriters(join(instanceDirectory(lab, node, before.uid), 'disks/root.qcow2'))
    const was = await generationOf(names[0])
    await Promise.all(lab.nodes.map((one) => lab.killDockerd(one.name)))
    const edited = edit(names[0], was)
    await Promise.all(lab.nodes.map((one) => lab.startDockerd(one.name)))
    // The controller was killed as well: it is a container, and Swarm starts another one.
    tell(`${round}: every dockerd killed`, await edited)
    await allBack(lab)
    await expectWhole(names[0])
    const now = await containerOf(lab, keeper)
    expect(now.node).toBe(node)
    // It is dockerd that ends what ran, and an empty disk would count from one again.
    const wanted = (boots ?? 0) + (now.id === before.container.id ? 0 : 1)
    const count = async (): Promise<number | undefined> => bootCount(lab, ip, otherNode(lab, node))
    await until(`boot ${wanted}`, 120_000, async () => ((await count()) ?? 0) >= wanted || undefined, 500)
    const { most, samples } = writers.stop()
    expect(samples).toBeGreaterThan(20)
    expect(most).toBe(1)
  })
})
