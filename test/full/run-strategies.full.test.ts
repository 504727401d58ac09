/** The end of a Once VM, also after its service and record are lost. Known to fail: after a panic, the phase was not Failed within 180 s. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import type { NodeName } from '../lab/lab.ts'
import { layoutFromEnv } from '../lab/layout.ts'
import { operatorCommand, prepareOperator } from '../lab/operator.ts'
import { run, until } from '../lab/run.ts'
import {
  bootCount,
  e2eLab,
  instanceDirectory,
  manifest,
  nodeOfVm,
  openE2e,
  otherNode,
  removeManifests,
  serviceOf,
  uidOf,
  waitBooted,
  waitForCondition,
} from '../e2e/support.ts'

const name = 'strategist'
const layout = layoutFromEnv(process.env, e2eLab)
let deployment: Deployment
let node: NodeName
let ip = ''

beforeAll(async () => {
  deployment = await openE2e()
  // The API listens a moment after the stack is deployed.
  await until(
    'the login',
    120_000,
    () =>
      prepareOperator(layout, deployment.token).then(
        () => true as const,
        () => undefined,
      ),
    1_000,
  )
})

afterAll(() => removeManifests(deployment, [name]))

async function vm(...args: readonly string[]): Promise<{ code: number; out: string }> {
  const { argv, env } = operatorCommand(layout, ['vm', ...args])
  const { code, stdout, stderr } = await run(argv, { env, timeoutMs: 60_000 })
  return { code: code ?? -1, out: `${stdout}${stderr}` }
}

function declare(runStrategy: string): void {
  deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy, more: { terminationGracePeriod: '40s' } }))
}

async function phase(wanted: string): Promise<void> {
  await until(`phase ${wanted}`, 180_000, async () => ((await deployment.vm(name))?.phase === wanted ? true : undefined), 500)
}

async function guestDoes(what: 'off' | 'panic'): Promise<void> {
  const url = `http://${ip}/cgi-bin/power?${what}`
  const script = `fetch(${JSON.stringify(url)}, {method: 'POST', body: 'x'}).then((r) => r.text()).then(console.log)`
  const { code, stderr } = await deployment.lab.exec(otherNode(deployment.lab, node), [process.execPath, '-e', script])
  if (code !== 0) throw new Error(stderr)
}

async function replicas(): Promise<number | undefined> {
  return (await serviceOf(deployment.lab, name))?.Spec.Mode.Replicated.Replicas
}

async function isReady(boots: number): Promise<void> {
  // The address is read again each time: the guest's, and not that of its previous run.
  await until(`boot ${boots} of ${name}, and Ready`, 240_000, async () => {
    const seen = await deployment.vm(name)
    if (seen?.phase !== 'Ready' || seen.facts['ip'] === undefined) return undefined
    node = await nodeOfVm(deployment.lab, name)
    ip = seen.facts['ip']
    return (await bootCount(deployment.lab, ip, otherNode(deployment.lab, node))) === boots ? true : undefined
  })
}

describe('a VM with runStrategy: Once', () => {
  it('never runs again after its end, although its service and its placement record are lost', async () => {
    declare('Once')
    await isReady(1)
    const uid = await uidOf(deployment.lab, name)
    const note = join(instanceDirectory(deployment.lab, node, uid), 'run/finished.json')
    expect(await vm('stop', name)).toMatchObject({ code: 1, out: expect.stringContaining('"runStrategy: Once"') as string })
    await guestDoes('panic')
    await phase('Failed')
    expect(existsSync(note) && JSON.parse(readFileSync(note, 'utf8'))).toMatchObject({ result: 'Failed' })

    await deployment.lab.mustDocker('n1', ['service', 'rm', `vm-${name}`])
    await deployment.lab.mustDocker('n1', ['config', 'rm', `sv-vm-${name}`])
    await until('the service to be there again', 120_000, async () => ((await serviceOf(deployment.lab, name)) ? true : undefined), 500)
    await phase('Failed')
    await waitForCondition(deployment, name, 'ServiceReady', (one) => one.status === 'True' && one.reason === 'Halted')
    expect(await replicas()).toBe(0)
    expect(readFileSync(join(instanceDirectory(deployment.lab, node, uid), 'run/serial.log'), 'utf8')).not.toContain('boot=2')
  })

  it('runs again once its manifest says Always, and a guest that shuts itself down then starts again', async () => {
    declare('Always')
    await isReady(2)
    await guestDoes('off')
    await waitBooted(deployment, name, ip, 3)
  })
})
