import { renderTemplate } from '../../src/reconcilers/services/render.ts'
import { inputsOf } from '../../src/reconcilers/services/inputs.ts'
import { dig } from '../../src/reconcilers/shared/raw.ts'
import { aVm, settings } from '../simulation/cluster.ts'
import { aUid, aVmName } from '../support/branded.ts'

/** The settings of a container that runs QEMU. */
interface Given {
  readonly user: string
  readonly privileged: string
  readonly capabilities: string
  readonly noNewPrivileges: string
  readonly seccomp: string
  readonly root: string
  readonly devices: string
  readonly hostNetwork: string
  readonly token: string
  readonly processes: string
  readonly memory: string
}

const rows: Readonly<Record<keyof Given, string>> = {
  user: 'user of QEMU',
  privileged: 'privileged',
  capabilities: 'capabilities',
  noNewPrivileges: 'no new privileges',
  seccomp: 'seccomp profile',
  root: 'root file system',
  devices: 'devices',
  hostNetwork: 'network',
  token: 'token of the orchestrator',
  processes: 'limit of processes',
  memory: 'memory limit',
}

/** Read from files of each project, as they were on 2026-11-29. A setting that a file does not have is that of the engine. */
const peers: Readonly<Record<string, { readonly files: string; readonly given: Given }>> = {
  'docker-vm-runner': {
    files: '`docker-compose.yml` (10cc77f) and `docs/security.md` (22bc514) of MuNeNICK/docker-vm-runner',
    given: {
      user: 'root',
      privileged: 'yes',
      capabilities: 'all, kept for QEMU',
      noNewPrivileges: 'no',
      seccomp: 'none',
      root: 'writable',
      devices: 'all, and `/dev/kvm`',
      hostNetwork: 'bridge network of Docker',
      token: 'none',
      processes: 'none',
      memory: 'none',
    },
  },
  'qemus/qemu': {
    files: '`compose.yml` (10c05e3) and `Dockerfile` (04eca2b) of qemus/qemu; its `kubernetes.yml` (201cd58) adds `privileged: true`',
    given: {
      user: 'root',
      privileged: 'no; yes on Kubernetes',
      capabilities: "Docker's default and `NET_ADMIN`",
      noNewPrivileges: 'no',
      seccomp: "Docker's",
      root: 'writable',
      devices: '`/dev/kvm`, `/dev/net/tun`',
      hostNetwork: 'bridge network of Docker, port 8006 published',
      token: 'none',
      processes: 'none',
      memory: 'none',
    },
  },
  'virt-launcher': {
    files:
      '`rendercontainer.go` (03ede70), `template.go` (008b6e6) and `renderresources.go` (03a60d5) in `pkg/virt-controller/services` of kubevirt/kubevirt, for a VM that is not root',
    given: {
      user: 'not root',
      privileged: 'no',
      capabilities: '`NET_BIND_SERVICE`',
      noNewPrivileges: 'yes',
      seccomp: 'none, unless the cluster names one',
      root: 'writable',
      devices: 'of device plugins, such as KVM and TUN',
      hostNetwork: 'that of the pod',
      token: 'none, unless a volume asks for it',
      processes: 'that of the node',
      memory: 'that of the VM',
    },
  },
}

/** From the template that this release renders for a manager of Engine 25 or later. */
function ours(): Given {
  const { vm } = aVm('web')
  const inputs = inputsOf({ cluster: 'lab', vm, uid: aUid('00000000-0000-4000-8000-000000000001') })
  const template = renderTemplate({ vm: aVmName('web'), settings, apiVersion: '1.44', inputs, node: 'n', forceUpdate: 0 })
  const container = (...path: readonly string[]): unknown => dig(template, 'ContainerSpec', ...path)
  const added = container('CapabilityAdd')
  const isEmpty = added === undefined && JSON.stringify(container('CapabilityDrop')) === '["ALL"]'
  return {
    user: String(container('User')).replace(/:.*/, ''),
    privileged: 'no',
    capabilities: isEmpty ? 'none' : JSON.stringify(added),
    noNewPrivileges: container('Privileges', 'NoNewPrivileges') === true ? 'yes' : 'no',
    seccomp: container('Privileges', 'Seccomp', 'Mode') === 'custom' ? 'own, where Swarm can store one' : "Docker's",
    root: container('ReadOnly') === true ? 'read-only' : 'writable',
    devices: 'none; open descriptors from the broker',
    hostNetwork: 'an internal overlay, without a route to any node',
    token: 'none',
    processes: String(dig(template, 'Resources', 'Limits', 'Pids')),
    memory: dig(template, 'Resources', 'Limits', 'MemoryBytes') === undefined ? 'none' : 'that of the VM',
  }
}

/** A Markdown table of the containers that run QEMU, and the files that it was read from. */
export function isolationTable(): string {
  const given = { swarmvirt: ours(), ...Object.fromEntries(Object.entries(peers).map(([name, peer]) => [name, peer.given])) }
  const names = Object.keys(given) as (keyof typeof given)[]
  const lines = Object.entries(rows).map(([key, title]) => [title, ...names.map((name) => given[name][key as keyof Given])])
  const table = [['', ...names], ['---', ...names.map(() => '---')], ...lines].map((cells) => `| ${cells.join(' | ')} |`)
  const sources = Object.entries(peers).map(([name, { files }]) => `- ${name}: ${files}`)
  return [...table, '', ...sources, ''].join('\n')
}
