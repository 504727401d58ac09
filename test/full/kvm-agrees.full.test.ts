import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { NodeView } from '../../src/api/wire/controller-api.ts'
import { openE2e } from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import { buildGuest } from '../lab/guests/build-guest.ts'
import { until } from '../lab/run.ts'

let deployment: Deployment

beforeAll(async () => {
  deployment = await openE2e()
})

async function factsOf(hostname: string): Promise<NonNullable<NodeView['facts']>> {
  return until(
    'the verdict of the KVM probe',
    60_000,
    async () => {
      const { nodes } = (await deployment.api('/api/v1/nodes')).body as { nodes: NodeView[] }
      const facts = nodes.find((node) => node.hostname === hostname)?.facts
      return facts != null && facts.kvm.state !== 'pending' ? facts : undefined
    },
    500,
  )
}

/** Boots the tiny guest's Linux with the image's own QEMU in a container that has the device; true when its init speaks. */
async function boots(accelerator: 'kvm' | 'tcg'): Promise<boolean> {
  const { lab } = deployment
  const disk = join(lab.node('n1').stateRoot, 'images', `.boot-${accelerator}.qcow2`)
  copyFileSync((await buildGuest('tiny')).path, disk)
  const container = `sv-boot-${accelerator}`
  const qemu = ['-machine', 'pc-q35-10.0', '-accel', accelerator, '-cpu', accelerator === 'kvm' ? 'host' : 'max', '-m', '192']
  const devices = ['-nodefaults', '-display', 'none', '-serial', 'stdio', '-drive', 'file=/disk.qcow2,if=virtio,format=qcow2']
  const kvm = accelerator === 'kvm' ? ['--device', '/dev/kvm'] : []
  const options = ['run', '--detach', '--name', container, '--user', '0:0', '--network', 'none', ...kvm]
  const image = ['--volume', `/var/lib/swarmvirt/images/.boot-${accelerator}.qcow2:/disk.qcow2`, '--entrypoint', 'qemu-system-x86_64']
  await lab.mustDocker('n1', [...options, ...image, lab.images[1] ?? '', ...qemu, ...devices])
  try {
    return await until(
      'Linux or its end',
      60_000,
      async () => {
        const { stdout } = await lab.docker('n1', ['logs', container])
        if (stdout.includes('swarmvirt-guest:')) return { up: true }
        const running = await lab.mustDocker('n1', ['inspect', '--format', '{{.State.Running}}', container])
        return running.trim() === 'true' ? undefined : { up: false }
      },
      500,
    ).then(
      ({ up }) => up,
      // A guest that says nothing for a minute hangs.
      () => false,
    )
  } finally {
    await lab.docker('n1', ['rm', '--force', container])
  }
}

describe('the KVM probe', () => {
  it('says what an actual Linux boot says, under KVM and under TCG', async () => {
    const facts = await factsOf('n1')
    expect(facts.tcg.works).toBe(await boots('tcg'))
    if (facts.broker?.devices.kvm.opens === true) expect(facts.kvm.state === 'works').toBe(await boots('kvm'))
    else expect(facts.kvm.state).toBe('unusable')
    if (facts.kvm.state === 'unusable') expect(facts.kvm.message).not.toBe('')
  })
})
