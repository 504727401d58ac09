import { statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { agentUid, sharedGid } from '../../src/api/layout.ts'
import type { Deployment } from '../lab/deployment.ts'
import { ensurePackages } from '../lab/packages.ts'
import { run } from '../lab/run.ts'
import { openE2e, procStatus } from './support.ts'

let deployment: Deployment

beforeAll(async () => {
  deployment = await openE2e()
})

interface Inspected {
  readonly State: { readonly Pid: number }
  readonly HostConfig: {
    readonly Privileged: boolean
    readonly CapAdd: string[] | null
    readonly ReadonlyRootfs: boolean
    readonly NetworkMode: string
    readonly Devices: { readonly PathOnHost: string }[] | null
    readonly PortBindings: object | null
  }
  readonly Mounts: readonly { readonly Source: string }[]
}

async function inspect(node: 'n1' | 'n2' | 'n3', container: string): Promise<Inspected> {
  const [one] = JSON.parse(await deployment.lab.mustDocker(node, ['inspect', container])) as Inspected[]
  if (one === undefined) throw new Error(`no container ${container}`)
  return one
}

async function taskContainer(node: 'n1' | 'n2' | 'n3', service: string): Promise<Inspected> {
  const id = await deployment.lab.mustDocker(node, ['ps', '--quiet', '--filter', `label=com.docker.swarm.service.name=${service}`])
  return inspect(node, id.trim())
}

const none = '0000000000000000'

describe('what runs on a node beside the VMs', () => {
  it('a broker with NET_ADMIN and NET_RAW, its devices and no port', async () => {
    const broker = await inspect('n2', 'swarmvirt-broker')
    expect(broker.HostConfig.Privileged).toBe(false)
    expect(broker.HostConfig.CapAdd?.map((one) => one.replace('CAP_', '')).toSorted()).toEqual(['NET_ADMIN', 'NET_RAW'])
    expect(broker.HostConfig.ReadonlyRootfs).toBe(true)
    expect(broker.HostConfig.PortBindings ?? {}).toEqual({})
    const devices = broker.HostConfig.Devices?.map((one) => one.PathOnHost) ?? []
    expect(['/dev/kvm', '/dev/net/tun', '/dev/vhost-net']).toEqual(expect.arrayContaining(devices))
    expect(broker.Mounts.map((mount) => mount.Source)).toEqual(['/var/lib/swarmvirt'])
    // NET_ADMIN is bit 12, NET_RAW bit 13.
    expect(procStatus(broker.State.Pid, 'CapEff')).toBe('0000000000003000')
    expect(procStatus(broker.State.Pid, 'CapBnd')).toBe('0000000000003000')
    expect(procStatus(broker.State.Pid, 'NoNewPrivs')).toBe('1')
  })

  it('listens on no TCP or UDP port: its sockets are UNIX sockets', async () => {
    const { State } = await inspect('n2', 'swarmvirt-broker')
    const sockets = await run(['nsenter', '-t', String(State.Pid), '-n', 'ss', '-H', '-l', '-n', '-p', '-t', '-u'])
    expect(sockets.stdout).not.toContain(`pid=${State.Pid},`)
  })

  it('an agent and a controller without capabilities, without root, without the host’s network', async () => {
    const agent = await taskContainer('n2', 'swarmvirt_agent')
    const controller = await taskContainer('n1', 'swarmvirt_controller')
    for (const one of [agent, controller]) {
      expect(procStatus(one.State.Pid, 'CapEff')).toBe(none)
      expect(procStatus(one.State.Pid, 'CapBnd')).toBe(none)
      expect(procStatus(one.State.Pid, 'NoNewPrivs')).toBe('1')
      expect(procStatus(one.State.Pid, 'Uid').startsWith('0\t')).toBe(false)
      expect(one.HostConfig.ReadonlyRootfs).toBe(true)
      expect(one.HostConfig.NetworkMode).not.toBe('host')
    }
    expect(agent.Mounts.some((mount) => mount.Source.includes('docker.sock'))).toBe(false)
  })

  it('no setuid or setgid program in either image', async () => {
    for (const image of deployment.lab.images) {
      const find = [
        'run',
        '--rm',
        '--network',
        'none',
        '--user',
        '0',
        '--entrypoint',
        'find',
        image,
        '/',
        '-xdev',
        '-perm',
        '/6000',
        '-type',
        'f',
      ]
      expect([image, await deployment.lab.mustDocker('n1', find)]).toEqual([image, ''])
    }
  })

  it('a state root with the owners and modes of ADR 0004', () => {
    const root = deployment.lab.node('n2').stateRoot
    const facts = (path: string): string => {
      const { uid, gid, mode } = statSync(join(root, path))
      return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`
    }
    expect(facts('.')).toBe(`0:${sharedGid} 751`)
    expect(facts('store')).toBe(`${agentUid}:${sharedGid} 2750`)
    expect(facts('grants')).toBe(`${agentUid}:${sharedGid} 2750`)
    expect(facts('instances')).toBe(`${agentUid}:${sharedGid} 2751`)
    expect(facts('sockets')).toBe(`0:${sharedGid} 2751`)
    expect(facts('admin')).toBe(`0:${sharedGid} 2750`)
    expect(facts('admin/broker.sock')).toBe(`0:${sharedGid} 660`)
  })

  it('a host unit that systemd understands', async () => {
    await ensurePackages([{ file: '/usr/bin/systemd-analyze', pkg: 'systemd' }])
    const unit = join(import.meta.dirname, '../../deploy/node/swarmvirt-poweroff.service')
    const verified = await run(['systemd-analyze', 'verify', unit])
    expect(`${verified.stdout}${verified.stderr}`).toBe('')
    expect(verified.code).toBe(0)
  })
})
