/**
 * What Raft goes through, and the controller with it: it lives on n1 with the manifests, so n1 stays up and another manager leads. How long
 * things took is printed beside what the bare API needed for the same; nothing here asserts a time.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  containerOf,
  containersOf,
  manifest,
  openE2e,
  type RunnerContainer,
  serviceOf,
  uidOf,
  waitForCondition,
  waitGone,
  waitReady,
} from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import type { Lab, NodeName } from '../lab/lab.ts'
import { say, until } from '../lab/run.ts'

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
const generations = new Map<string, string>()

beforeAll(async () => {
  deployment = await openE2e()
  ;({ lab } = deployment)
  await leadElsewhere()
  await lab.mustDocker('n1', ['config', 'create', '--label', 'owner=somebody', 'sv-vm-foreign', '-'], { input: 'not ours' })
  foreign = await foreignConfig()
  deployment.writeManifest(`${keeper}.yaml`, manifest(keeper))
  for (const name of names) declareHalted(name, '192Mi')
  await waitReady(deployment, keeper)
  for (const name of names) {
    await waitForCondition(deployment, name, 'Ready', (one) => one.reason === 'Halted')
    generations.set(name, (await serviceOf(lab, name))?.Spec.Labels['swarmvirt.generation'] ?? '')
  }
  before = { container: await containerOf(lab, keeper), uid: await uidOf(lab, keeper) }
})

afterAll(async () => {
  for (const name of [keeper, ...names]) deployment.removeManifest(`${name}.yaml`)
  await waitGone(deployment, keeper)
  await lab.docker('n1', ['config', 'rm', 'sv-vm-foreign'])
})

async function foreignConfig(): Promise<string> {
  return lab.mustDocker('n1', ['config', 'inspect', '--format', '{{json .}}', 'sv-vm-foreign'])
}

async function leader(): Promise<NodeName> {
  const listed = await lab.mustDocker('n1', ['node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}'])
  const found = lab.nodes.find((node) => listed.split('\n').includes(`${node.name} Leader`))
  if (found === undefined) throw new Error(`no leader in:\n${listed}`)
  return found.name
}

/** A manager whose dockerd is killed leads no more. Before anything runs there that must not be restarted. */
async function leadElsewhere(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) {
    if ((await leader()) !== 'n1') return
    await lab.killDockerd('n1')
    await until(
      'another leader',
      60_000,
      async () => ((await lab.docker('n2', ['node', 'ls', '--quiet'], { timeoutMs: 20_000 })).code === 0 ? true : undefined),
      200,
    )
    await lab.startDockerd('n1')
    await allBack()
  }
  throw new Error('n1 leads again and again')
}

async function allBack(): Promise<void> {
  const ready = (): Promise<true | undefined> =>
    lab.waitReady('n1', 'n2', 'n3').then(
      () => true,
      () => undefined,
    )
  await until('every manager to be there', 180_000, ready)
}

/** How long until a manager answers a bare call, and until a manifest that is edited now has changed its service: both from now. */
async function edit(name: string): Promise<{ readonly apiMs: number; readonly ourMs: number }> {
  const generation = async (): Promise<string | undefined> =>
    (await serviceOf(lab, name).catch(() => undefined))?.Spec.Labels['swarmvirt.generation']
  const was = generations.get(name)
  declareHalted(name, '208Mi')
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

/** Nothing was lost, doubled, restarted or touched, and what was declared meanwhile is there. */
async function expectWhole(name: string): Promise<void> {
  await waitForCondition(deployment, name, 'Ready', (one) => one.reason === 'Halted', 240_000)
  await waitReady(deployment, keeper, 240_000)
  expect(await containersOf(lab, keeper)).toEqual([before.container])
  expect(await uidOf(lab, keeper)).toBe(before.uid)
  expect(await foreignConfig()).toBe(foreign)
  const records = await lab.mustDocker('n1', ['config', 'ls', '--filter', 'label=swarmvirt.component=placement', '--format', '{{.Name}}'])
  const listed = records.split('\n').filter((one) => one === `sv-vm-${keeper}` || one === `sv-vm-${name}`)
  expect(listed.toSorted()).toEqual([`sv-vm-${keeper}`, `sv-vm-${name}`])
}

function declareHalted(name: string, memory: string): void {
  deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy: 'Halted', memory }))
}

function tell(what: string, { apiMs, ourMs }: { readonly apiMs: number; readonly ourMs: number }): void {
  say(`${what}: the bare API answered after ${(apiMs / 1000).toFixed(1)} s, the edit was made after ${(ourMs / 1000).toFixed(1)} s`)
}

/** Both ways, between two managers. */
async function cut(from: NodeName, to: NodeName, how: 'cut' | 'mend'): Promise<void> {
  const flag = how === 'cut' ? '-I' : '-D'
  for (const [here, there] of [
    [from, to],
    [to, from],
  ] as const) {
    const done = await lab.exec(here, ['iptables', flag, 'INPUT', '-s', lab.node(there).managementIp, '-j', 'DROP'])
    if (done.code !== 0) throw new Error(done.stderr)
  }
}

describe('with managers away', () => {
  it('a killed leader costs no more than the election, and nothing else', async () => {
    const led = await leader()
    expect(led).not.toBe('n1')
    await lab.killDockerd(led)
    tell('leader killed', await edit(names[0]))
    await lab.startDockerd(led)
    await allBack()
    await expectWhole(names[0])
  })

  it('a leader that is cut off from another manager, and mended', async () => {
    const led = await leader()
    const other = lab.nodes.map((node) => node.name).find((name) => name !== led && name !== 'n1') ?? 'n3'
    await cut(led, other, 'cut')
    try {
      tell('leader and follower partitioned', await edit(names[1]))
    } finally {
      await cut(led, other, 'mend')
    }
    await allBack()
    await expectWhole(names[1])
  })

  it('a lost quorum stops every write and loses none that was asked for', async () => {
    await lab.killDockerd('n2')
    await lab.killDockerd('n3')
    deployment.removeManifest(`${names[0]}.yaml`)
    const edited = edit(names[2])
    // Longer than a grace, so that a removal is due when there are managers again.
    await new Promise((resolve) => setTimeout(resolve, 12_000))
    await Promise.all([lab.startDockerd('n2'), lab.startDockerd('n3')])
    tell('quorum lost for 12 s', await edited)
    await allBack()
    await waitGone(deployment, names[0])
    await expectWhole(names[2])
  })
})
