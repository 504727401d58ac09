import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { containerOf, openE2e, procStatus, reservedMac, waitGone, waitReady } from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import { until } from '../lab/run.ts'
import { type SshGuest, sshGuest } from './ssh-guest.ts'

const name = 'debian'
const address = '192.168.50.60'
let deployment: Deployment
let guest: SshGuest

/** `word` is where cloud-init puts it at every boot, and where it puts it once per instance. */
function declare(word: string, annotations: Record<string, string> = {}): void {
  const userData = [
    '#cloud-config',
    `bootcmd: ["echo ${word} > /etc/from-bootcmd"]`,
    `write_files: [{path: /etc/from-user-data, content: "${word}\\n"}]`,
    '',
  ].join('\n')
  const spec = {
    cpu: { cores: 1 },
    memory: '1Gi',
    disks: [{ name: 'root', size: '4Gi', image: guest.image }],
    networks: [{ name: 'lan', bridge: 'br0' }],
    cloudInit: { userData, sshAuthorizedKeys: [guest.publicKey] },
    readiness: { tcp: 22 },
    updatePolicy: 'Restart',
  }
  const document = { apiVersion: 'swarmvirt.dev/v1alpha1', kind: 'VirtualMachine', metadata: { name, annotations }, spec }
  deployment.writeManifest(`${name}.yaml`, JSON.stringify(document))
}

function said(command: string): Promise<string> {
  return guest.said(name, address, command)
}

async function restarted(before: string): Promise<void> {
  await until('another container', 180_000, async () => ((await containerOf(deployment.lab, name)).id === before ? undefined : true), 500)
  await waitReady(deployment, name, 280_000)
}

beforeAll(async () => {
  deployment = await openE2e()
  guest = await sshGuest(deployment)
  await deployment.lab.reserve(reservedMac(name), address)
})

afterAll(async () => {
  deployment.removeManifest(`${name}.yaml`)
  await waitGone(deployment, name)
  guest.remove()
})

describe('a real Debian guest', () => {
  it('comes from the network by sha256, takes cloud-init’s user data and keys, and is reached by SSH from another node', async () => {
    declare('first')
    const vm = await waitReady(deployment, name, 280_000)
    expect(vm.facts['ip']).toBe(address)
    expect(procStatus((await containerOf(deployment.lab, name)).pid, 'CapEff')).toBe('0000000000000000')
    expect(await said('hostname; cat /etc/from-user-data')).toBe(`${name}\nfirst\n`)
  })

  it('takes of edited user data what cloud-init does at every boot', async () => {
    const { id } = await containerOf(deployment.lab, name)
    declare('second')
    await restarted(id)
    expect(await said('cat /etc/from-bootcmd /etc/from-user-data')).toBe('second\nfirst\n')
  })

  it('has cloud-init run again as another instance when the annotation asks for it', async () => {
    const { id } = await containerOf(deployment.lab, name)
    declare('second', { 'swarmvirt.dev/cloud-init-instance': '2' })
    await restarted(id)
    expect(await said('cat /etc/from-user-data; cat /var/lib/cloud/data/instance-id')).toMatch(/^second\n[0-9a-f-]{36}-2\n$/)
  })
})
