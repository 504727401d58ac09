import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SourcesView, SourceView, VmView } from '../../src/api/wire/controller-api.ts'
import type { Deployment } from '../lab/deployment.ts'
import { until } from '../lab/run.ts'
import { conditionOf, containerOf, containersOf, manifest, openE2e, serviceOf, waitForCondition, waitGone, waitReady } from './support.ts'

const name = 'cfg'
const stacked = 'stacked'
const stack = 'vms'
const controller = 'swarmvirt_controller'
const byCli = ['--label', 'swarmvirt.applied-by=docker-vm']
let deployment: Deployment
let files: string
/** The VM's container from its first start; nothing below may replace it. */
let container: string

beforeAll(async () => {
  deployment = await openE2e()
  files = mkdtempSync(join(tmpdir(), 'swarmvirt-configs-'))
})

afterAll(async () => {
  await docker('stack', 'rm', stack)
  deployment.removeManifest(`${name}.yaml`)
  await removeConfigs(...(await configs()))
  await docker('service', 'update', '--env-rm', 'SWARMVIRT_COLLECT_AFTER_S', '--detach=false', '--quiet', controller)
  for (const vm of [name, stacked]) await waitGone(deployment, vm)
  rmSync(files, { recursive: true })
})

function docker(...args: string[]): Promise<string> {
  return deployment.lab.mustDocker('n2', args)
}

/** As a person does it, on a manager that is not the controller's. */
async function createConfig(config: string, text: string, labels: readonly string[] = []): Promise<void> {
  const file = join(files, `${config}.yaml`)
  writeFileSync(file, text)
  await docker('config', 'create', '--label', 'swarmvirt.manifest=true', ...labels, config, file)
}

async function removeConfigs(...names: readonly string[]): Promise<void> {
  if (names.length > 0) await docker('config', 'rm', ...names)
}

/** Names of all configs with manifests. */
async function configs(): Promise<readonly string[]> {
  const listed = await docker('config', 'ls', '--filter', 'label=swarmvirt.manifest=true', '--format', '{{.Name}}')
  return listed.split('\n').filter((one) => one !== '')
}

async function source(which: string): Promise<SourceView | undefined> {
  const answer = await deployment.api('/api/v1/sources')
  return (answer.body as SourcesView).sources.find((one) => one.source === which)
}

/** Which source the placement record says. */
async function recorded(): Promise<string> {
  const label = '{{index .Spec.Labels "swarmvirt.source"}}'
  return (await docker('config', 'inspect', '--format', label, `sv-vm-${name}`)).trim()
}

async function untouched(): Promise<void> {
  expect((await containersOf(deployment.lab, name)).map((one) => one.id)).toEqual([container])
}

/** Only the controller; VMs are to notice nothing. */
async function restartController(...args: string[]): Promise<void> {
  await docker('service', 'update', '--force', '--detach=false', '--quiet', ...args, controller)
  await until('the controller to have read the configs', 60_000, async () => {
    const seen = await source('configs').catch(() => undefined)
    return seen?.complete === true ? true : undefined
  })
}

function generationChanged(from: string): Promise<VmView> {
  return until(`another generation of ${name}`, 60_000, async () => {
    const seen = await deployment.vm(name)
    return seen !== undefined && seen.generation !== from && seen.observedGeneration === seen.generation ? seen : undefined
  })
}

describe('a VM that a Swarm config declares', () => {
  it('becomes Ready, and its placement record says which source it is of', async () => {
    await createConfig(`${name}-1`, manifest(name), byCli)
    await waitReady(deployment, name)
    container = (await containerOf(deployment.lab, name)).id
    expect(await recorded()).toBe('configs')
  })

  it('follows the newest config, and the older one is superseded', async () => {
    const before = (await deployment.vm(name))?.generation ?? ''
    await createConfig(`${name}-2`, manifest(name, { memory: '200Mi' }), byCli)
    await generationChanged(before)
    expect((await source('configs'))?.superseded).toEqual([{ file: `${name}-1`, name, by: `${name}-2` }])
    await untouched()
  })

  it('keeps its last valid state when the newest is broken, and says so', async () => {
    const before = (await deployment.vm(name))?.generation
    await createConfig(`${name}-3`, manifest(name).replace('"memory"', '"memroy"'), byCli)
    const seen = await waitForCondition(deployment, name, 'Valid', (one) => one.status === 'False')
    expect([conditionOf(seen, 'Valid')?.message, seen.generation]).toEqual([expect.stringContaining(`${name}-3:`), before])
  })

  it('keeps it after a restart of the controller, and removes the superseded configs of the CLI once a newer valid one exists', async () => {
    const before = (await deployment.vm(name))?.generation
    await restartController('--env-add', 'SWARMVIRT_COLLECT_AFTER_S=1')
    const seen = await waitForCondition(deployment, name, 'Valid', (one) => one.status === 'False')
    expect([seen.declared, seen.generation]).toEqual(['present', before])
    await until('the oldest config to be collected', 60_000, async () => ((await configs()).includes(`${name}-1`) ? undefined : true))
    expect([...(await configs())].toSorted()).toEqual([`${name}-2`, `${name}-3`])
    await untouched()
    await removeConfigs(`${name}-3`)
    await waitForCondition(deployment, name, 'Valid', (one) => one.status === 'True')
  })
})

describe('a VM that a config and a file declare', () => {
  it('stays with the config, and both places and its condition say so', async () => {
    const before = (await deployment.vm(name))?.generation
    deployment.writeManifest(`${name}.yaml`, manifest(name, { memory: '256Mi' }))
    const seen = await waitForCondition(deployment, name, 'Valid', (one) => one.message.includes('also declared'))
    expect(conditionOf(seen, 'Valid')).toMatchObject({
      status: 'True',
      message: `also declared in ${name}.yaml:1, which is ignored: config ${name}-2:1 keeps the VM`,
    })
    for (const which of ['directory', 'configs']) {
      const issues = (await source(which))?.issues.filter((one) => one.includes('VM030')) ?? []
      expect(issues).toEqual([expect.stringContaining(`config ${name}-2:1 keeps it`)])
    }
    expect(seen.generation).toBe(before)
  })

  it('keeps the VM after a restart of the controller', async () => {
    const before = (await deployment.vm(name))?.generation
    await restartController()
    const seen = await waitForCondition(deployment, name, 'Valid', (one) => one.message.includes('also declared'))
    expect([seen.generation, await recorded()]).toEqual([before, 'configs'])
    await untouched()
  })

  it('goes to the file when the config is deleted, and is neither removed nor restarted for that', async () => {
    const before = (await deployment.vm(name))?.generation ?? ''
    const service = (await serviceOf(deployment.lab, name))?.ID
    await removeConfigs(`${name}-2`)
    await waitForCondition(deployment, name, 'Valid', (one) => one.reason === 'HandOver')
    await generationChanged(before)
    await until('the record to say so', 30_000, async () => ((await recorded()) === 'directory' ? true : undefined))
    expect((await serviceOf(deployment.lab, name))?.ID).toBe(service)
    await untouched()
  })
})

describe('docker stack deploy with a labelled config', () => {
  /** Content that changes needs another name in the stack file. */
  function stackFile(config: string, text: string): string {
    const manifestFile = join(files, `${config}.yaml`)
    writeFileSync(manifestFile, text)
    const file = join(files, 'stack.json')
    const configs = { [config]: { file: manifestFile, labels: { 'swarmvirt.manifest': 'true' } } }
    writeFileSync(file, JSON.stringify({ version: '3.8', services: {}, configs }))
    return file
  }

  it('makes a VM', async () => {
    await docker('stack', 'deploy', '-c', stackFile('first', manifest(stacked)), stack)
    await waitReady(deployment, stacked)
    expect(await configs()).toContain(`${stack}_first`)
  })

  it('changes it under another name, and the older config is reported and left alone', async () => {
    const { id } = await containerOf(deployment.lab, stacked)
    await docker('stack', 'deploy', '-c', stackFile('second', manifest(stacked, { memory: '200Mi' })), stack)
    await waitForCondition(deployment, stacked, 'RestartRequired', (one) => one.status === 'True')
    expect((await source('configs'))?.superseded).toEqual([{ file: `${stack}_first`, name: stacked, by: `${stack}_second` }])
    // Superseded for longer than the second after which those of the CLI go.
    await restartController()
    expect(await configs()).toContain(`${stack}_first`)
    expect((await containersOf(deployment.lab, stacked)).map((one) => one.id)).toEqual([id])
  })

  it('and docker stack rm removes it, after the grace', async () => {
    await docker('stack', 'rm', stack)
    await waitGone(deployment, stacked)
    expect(await configs()).toEqual([])
  })
})
