import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { VmView } from '../../src/api/wire/controller-api.ts'
import type { Deployment } from '../lab/deployment.ts'
import {
  conditionOf,
  containerOf,
  guestPage,
  isTrue,
  manifest,
  nodeOfVm,
  openE2e,
  removeManifests,
  otherNode,
  procStatus,
  type RunnerContainer,
  reservedMac,
  serviceOf,
  waitForCondition,
  waitGone,
  waitReady,
} from './support.ts'

const name = 'plain'
const reserved = '192.168.50.50'
let deployment: Deployment
let vm: VmView
let container: RunnerContainer

/** Runs a program of the image inside the VM's own container, as the user the runner has. */
function inContainer(argv: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return deployment.lab.docker(container.node, ['exec', container.id, ...argv])
}

beforeAll(async () => {
  deployment = await openE2e()
  await deployment.lab.reserve(reservedMac(name), reserved)
  deployment.writeManifest(`${name}.yaml`, manifest(name))
  vm = await waitReady(deployment, name)
  container = await containerOf(deployment.lab, name)
})

afterAll(async () => {
  await removeManifests(deployment, [name])
})

describe('a VM in a task without privileges', () => {
  it('has its reserved address and shows its page to another node over br0', async () => {
    expect(vm.facts['mac']).toBe(reservedMac(name))
    expect(vm.facts['ip']).toBe(reserved)
    expect(await guestPage(deployment.lab, reserved, otherNode(deployment.lab, container.node))).toContain(name)
  })

  it('has no capability at all, a user that is not root and cannot gain any', () => {
    // No-new-privileges from the runner down to QEMU, on an engine whose Swarm cannot set it.
    for (const pid of processesOf(container.pid)) expect(procStatus(pid, 'NoNewPrivs')).toBe('1')
    // From Docker's init, the runner's parent, down to QEMU.
    for (const pid of processesOf(Number(procStatus(container.pid, 'PPid')))) {
      expect(procStatus(pid, 'CapEff')).toBe('0000000000000000')
      expect(procStatus(pid, 'CapPrm')).toBe('0000000000000000')
      expect(procStatus(pid, 'CapBnd')).toBe('0000000000000000')
      expect(procStatus(pid, 'Uid').split(/\s+/)).toEqual(['30702', '30702', '30702', '30702'])
    }
  })

  it('has no setuid or setgid program to run, and a limit of processes and of its log', async () => {
    expect((await inContainer(['find', '/', '-xdev', '-type', 'f', '-perm', '/6000'])).stdout).toBe('')
    const inspected = JSON.parse(await deployment.lab.mustDocker(container.node, ['inspect', container.id])) as [
      { HostConfig: { PidsLimit: number | null; LogConfig: { Type: string; Config: Record<string, string> } } },
    ]
    const { PidsLimit, LogConfig } = inspected[0].HostConfig
    expect(PidsLimit).toBe(512)
    expect(LogConfig).toEqual({ Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } })
  })

  it('has a network namespace of its own, a read-only root, no Docker socket and no token', async () => {
    const inspected = JSON.parse(await deployment.lab.mustDocker(container.node, ['inspect', container.id])) as [
      {
        HostConfig: { NetworkMode: string; ReadonlyRootfs: boolean; Privileged: boolean; Devices: unknown[] | null }
        Mounts: { Source: string }[]
      },
    ]
    const { HostConfig, Mounts } = inspected[0]
    expect(HostConfig.NetworkMode).not.toBe('host')
    expect(HostConfig.ReadonlyRootfs).toBe(true)
    expect(HostConfig.Privileged).toBe(false)
    expect(HostConfig.Devices ?? []).toEqual([])
    expect(Mounts.map((mount) => mount.Source).filter((source) => source.includes('docker.sock'))).toEqual([])
    const secrets = await inContainer(['ls', '/run/secrets'])
    expect(secrets.stdout).not.toContain('swarmvirt')
    expect(readFileSync(`/proc/${container.pid}/environ`, 'utf8')).not.toContain(deployment.token)
    expect((await inContainer(['touch', '/x'])).code).not.toBe(0)
  })

  it('sees no device node beyond the set Docker gives every container', async () => {
    const listed = await inContainer(['find', '/dev', '-type', 'c', '-o', '-type', 'b'])
    const nodes = listed.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('/dev/pts/'))
    const defaults = ['console', 'full', 'null', 'random', 'tty', 'urandom', 'zero', 'core'].map((one) => `/dev/${one}`)
    expect(nodes.filter((node) => !defaults.includes(node))).toEqual([])
  })

  it('cannot open KVM by any path: not by a node, not by making one, not through a passed descriptor', async () => {
    const attempts = `
      const fs = require('node:fs'); const results = [];
      const attempt = (path) => { try { fs.closeSync(fs.openSync(path, 'r+')); results.push(path + ' OPENED') } catch (e) { results.push(path + ' ' + e.code) } };
      attempt('/dev/kvm');
      for (const pid of fs.readdirSync('/proc').filter((n) => /^[0-9]+$/.test(n))) {
        let fds = []; try { fds = fs.readdirSync('/proc/' + pid + '/fd') } catch {}
        for (const fd of fds) { let to = ''; try { to = fs.readlinkSync('/proc/' + pid + '/fd/' + fd) } catch {} if (/kvm/.test(to)) attempt('/proc/' + pid + '/fd/' + fd) }
      }
      console.log(results.join('\\n'))`
    const tried = await inContainer(['node', '-e', attempts])
    expect(tried.code).toBe(0)
    expect(tried.stdout).not.toContain('OPENED')
    expect((await inContainer(['mknod', '/tmp/kvm', 'c', '10', '232'])).code).not.toBe(0)
  })

  it('gets no interface from a TUN descriptor that it opens again', async () => {
    const attempts = `
      const fs = require('node:fs'); const koffi = require('/opt/swarmvirt/node_modules/koffi'); const results = [];
      const ioctl = koffi.load('libc.so.6').func('int ioctl(int fd, unsigned long request, void *argument)');
      for (const pid of fs.readdirSync('/proc').filter((n) => /^[0-9]+$/.test(n))) {
        let fds = []; try { fds = fs.readdirSync('/proc/' + pid + '/fd') } catch {}
        for (const fd of fds) {
          const path = '/proc/' + pid + '/fd/' + fd; let to = ''; try { to = fs.readlinkSync(path) } catch {}
          if (!to.includes('net/tun')) continue;
          try {
            const opened = fs.openSync(path, 'r+'); const request = Buffer.alloc(40); request.write('svtest0'); request.writeUInt16LE(0x1002, 16);
            results.push(path + (ioctl(opened, 0x400454ca, request) === 0 ? ' GOT AN INTERFACE' : ' refused ' + koffi.errno()));
          } catch (e) { results.push(path + ' ' + e.code) }
        }
      }
      console.log('tried ' + results.length + '\\n' + results.join('\\n'))`
    const tried = await inContainer(['node', '-e', attempts])
    expect(tried.stderr).toBe('')
    expect(tried.stdout).not.toContain('GOT AN INTERFACE')
    // QEMU's TAP descriptor was there to try, so that the test proves something.
    expect(tried.stdout).not.toContain('tried 0')
  })

  it('runs under a service that asks for no capability and is held to its node by constraints', async () => {
    const service = await serviceOf(deployment.lab, name)
    const spec = service?.Spec.TaskTemplate
    expect(spec?.ContainerSpec['CapabilityAdd'] ?? []).toEqual([])
    expect(spec?.ContainerSpec['CapabilityDrop']).toEqual(['ALL'])
    expect(spec?.Placement.Constraints).toEqual([`node.id==${service?.Spec.Labels['swarmvirt.node']}`, 'node.labels.vm-capable==true'])
    expect(await nodeOfVm(deployment.lab, name)).toBe(container.node)
  })
})

describe('what a VM says about its accelerator', () => {
  it('says that it is emulated, and why, where KVM is unusable', async () => {
    const emulated = conditionOf(vm, 'SoftwareEmulation')
    expect(vm.facts['accelerator']).toBe(emulated?.status === 'True' ? 'tcg' : 'kvm')
    if (emulated?.status === 'True') expect(emulated.message).toMatch(/KVM/i)
  })

  it('leaves a VM that insists on KVM unplaced where no node has it, and says why for each node', async () => {
    if (!isTrue(vm, 'SoftwareEmulation')) return
    deployment.writeManifest('insists.yaml', manifest('insists', { accelerator: 'kvm' }))
    const seen = await waitForCondition(deployment, 'insists', 'Placed', (one) => one.status === 'False' && /kvm/i.test(one.message))
    for (const node of deployment.lab.nodes) expect(conditionOf(seen, 'Placed')?.message).toContain(node.name)
    expect(await serviceOf(deployment.lab, 'insists')).toBeUndefined()
    deployment.removeManifest('insists.yaml')
    await waitGone(deployment, 'insists')
  })
})

/** The runner, its QEMU and whatever else lives in the container's PID namespace. */
function processesOf(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      .split(' ')
      .filter((one) => one !== '')
      .map(Number),
  )
  return [pid, ...children.flatMap(processesOf)]
}
