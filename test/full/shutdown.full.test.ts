import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  containerOf,
  manifest,
  openE2e,
  orderlyShutdown,
  powerCut,
  serialLog,
  uidOf,
  waitBooted,
  waitGone,
  waitReady,
} from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'

const name = 'careful'
let deployment: Deployment

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${name}.yaml`, manifest(name))
})

afterAll(async () => {
  deployment.removeManifest(`${name}.yaml`)
  await waitGone(deployment, name)
})

/** A command of the host unit, as systemd would run it. */
function unitCommand(key: 'ExecStart' | 'ExecStop'): string[] {
  const unit = readFileSync(join(import.meta.dirname, '../../deploy/node/swarmvirt-poweroff.service'), 'utf8')
  return new RegExp(`^${key}=-?(.*)$`, 'm').exec(unit)?.[1]?.split(' ') ?? []
}

describe('a host that is shut down', () => {
  it('powers its VMs off in order before dockerd is stopped, and they come back with it', async () => {
    const { lab } = deployment
    const { facts } = await waitReady(deployment, name)
    const { node } = await containerOf(lab, name)
    const uid = await uidOf(lab, name)
    const stopped = await lab.exec(node, unitCommand('ExecStop'))
    expect(stopped.stderr).toBe('')
    expect(stopped.code).toBe(0)
    expect(serialLog(lab, node, uid)).toContain(orderlyShutdown)
    await lab.powerOff(node)
    await lab.powerOn(node)
    await lab.waitReady(node)
    await waitBooted(deployment, name, facts['ip'] ?? '', 2)
    expect(serialLog(lab, node, uid)).not.toContain(powerCut)
  })

  it('brings its VMs back when the unit was only restarted', async () => {
    const { lab } = deployment
    const { facts } = await waitReady(deployment, name)
    const { node, id } = await containerOf(lab, name)
    const uid = await uidOf(lab, name)
    for (const key of ['ExecStop', 'ExecStart'] as const) expect((await lab.exec(node, unitCommand(key))).code).toBe(0)
    await waitBooted(deployment, name, facts['ip'] ?? '', 3)
    expect((await containerOf(lab, name)).id).toBe(id)
    expect(serialLog(lab, node, uid)).not.toContain(powerCut)
  })
})
