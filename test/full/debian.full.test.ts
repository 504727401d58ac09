import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { containerOf, openE2e, otherNode, procStatus, reservedMac, waitGone, waitReady } from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import { buildGuest } from '../lab/guests/build-guest.ts'
import { must, until } from '../lab/run.ts'

const name = 'debian'
const address = '192.168.50.60'
let deployment: Deployment
let keys: string

beforeAll(async () => {
  deployment = await openE2e()
  keys = mkdtempSync(join(tmpdir(), 'swarmvirt-ssh-'))
  await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(keys, 'id')])
  await deployment.lab.reserve(reservedMac(name), address)
})

afterAll(async () => {
  deployment.removeManifest(`${name}.yaml`)
  await waitGone(deployment, name)
  rmSync(keys, { recursive: true, force: true })
})

describe('a real Debian guest', () => {
  it('comes from the network by sha256, takes cloud-init’s user data and keys, and is reached by SSH from another node', async () => {
    const { lab } = deployment
    const guest = await buildGuest('debian')
    copyFileSync(guest.path, join(lab.www, 'debian.qcow2'))
    const spec = {
      cpu: { cores: 1 },
      memory: '1Gi',
      disks: [{ name: 'root', size: '4Gi', image: { source: `http://${lab.wwwAddress}/debian.qcow2`, sha256: guest.sha256 } }],
      networks: [{ name: 'lan', bridge: 'br0' }],
      cloudInit: {
        userData: '#cloud-config\nwrite_files:\n  - {path: /etc/from-user-data, content: "declared, and then true\\n"}\n',
        sshAuthorizedKeys: [readFileSync(join(keys, 'id.pub'), 'utf8').trim()],
      },
      readiness: { tcp: 22 },
    }
    deployment.writeManifest(
      `${name}.yaml`,
      JSON.stringify({ apiVersion: 'swarmvirt.dev/v1alpha1', kind: 'VirtualMachine', metadata: { name }, spec }),
    )
    const vm = await waitReady(deployment, name, 280_000)
    expect(vm.facts['ip']).toBe(address)
    const { node, pid } = await containerOf(lab, name)
    expect(procStatus(pid, 'CapEff')).toBe('0000000000000000')
    const options = [
      '-i',
      join(keys, 'id'),
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      'UserKnownHostsFile=/dev/null',
      '-o',
      'ConnectTimeout=5',
    ]
    const ssh = ['ssh', ...options, `debian@${address}`, 'hostname; cat /etc/from-user-data']
    const said = await until(
      'SSH with the key of the manifest',
      120_000,
      async () => {
        const result = await lab.exec(otherNode(lab, node), ssh)
        return result.code === 0 ? result.stdout : undefined
      },
      2000,
    )
    expect(said).toContain(name)
    expect(said).toContain('declared, and then true')
  })
})
