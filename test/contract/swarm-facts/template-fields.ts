import type { EditEffect } from '../../../src/api/manifest/about.ts'
import type { RawSpec } from '../../../src/ports/swarm.ts'
import { inputsOf } from '../../../src/reconcilers/services/inputs.ts'
import { renderTemplate, surroundings } from '../../../src/reconcilers/services/render.ts'
import { aVm, settings } from '../../simulation/cluster.ts'
import { type Edited, labelsOf, type Rig, toReplicas } from './rig.ts'
import { aUid } from '../../support/branded.ts'

/** A field of the service that a VM is rendered into. */
export interface TemplateField {
  /** Where it is in the spec; a list counts as one. */
  readonly path: string
  readonly edit: (spec: Edited, rig: FieldRig) => void
  /** Another value starts another task on a real Swarm. */
  readonly restarts: boolean
  /** Fields of a manifest whose edits change this one. */
  readonly behind?: readonly string[]
}

export interface FieldRig extends Rig {
  /** References to a config and a secret that are there. */
  readonly references: { readonly Configs: readonly RawSpec[]; readonly Secrets: readonly RawSpec[] }
}

type Edit<Part> = (part: Part) => void
const container = (edit: Edit<Edited['TaskTemplate']['ContainerSpec']>) => (spec: Edited) => edit(spec.TaskTemplate.ContainerSpec)
const template = (edit: Edit<Edited['TaskTemplate']>) => (spec: Edited) => edit(spec.TaskTemplate)

/** With these fields of one part changed. */
function set(part: 'UpdateConfig' | 'RollbackConfig' | 'EndpointSpec', fields: RawSpec): (spec: Edited) => void {
  return (spec) => void (spec[part] = { ...spec[part], ...fields })
}

function firstNetwork({ Networks: [first] }: Edited['TaskTemplate']): Edited['TaskTemplate']['Networks'][number] {
  if (first === undefined) throw new Error('it is on no network')
  return first
}

/** Every field that the renderer writes, and what real dockerd does when it is another one. */
export const templateFields: readonly TemplateField[] = [
  { path: 'Labels', edit: (spec) => void (spec.Labels['more'] = 'yes'), restarts: false, behind: ['spec.updatePolicy', 'spec.readiness'] },
  {
    path: 'Mode.Replicated.Replicas',
    // One more: nothing becomes of the task that is there.
    edit: toReplicas(2),
    restarts: false,
    behind: ['spec.runStrategy'],
  },
  { path: 'UpdateConfig.Parallelism', edit: set('UpdateConfig', { Parallelism: 2 }), restarts: false },
  { path: 'UpdateConfig.FailureAction', edit: set('UpdateConfig', { FailureAction: 'continue' }), restarts: false },
  { path: 'UpdateConfig.Order', edit: set('UpdateConfig', { Order: 'start-first' }), restarts: false },
  { path: 'RollbackConfig.Parallelism', edit: set('RollbackConfig', { Parallelism: 2 }), restarts: false },
  { path: 'RollbackConfig.FailureAction', edit: set('RollbackConfig', { FailureAction: 'continue' }), restarts: false },
  { path: 'RollbackConfig.Order', edit: set('RollbackConfig', { Order: 'start-first' }), restarts: false },
  { path: 'EndpointSpec.Mode', edit: set('EndpointSpec', { Mode: 'vip' }), restarts: true },
  { path: 'TaskTemplate.ForceUpdate', edit: template((one) => void (one.ForceUpdate = 1)), restarts: true },
  {
    path: 'TaskTemplate.Resources.Limits.MemoryBytes',
    edit: template((one) => void (one.Resources.Limits.MemoryBytes += 1024 ** 2)),
    restarts: true,
    behind: ['spec.memory', 'spec.resources.memoryOverhead'],
  },
  {
    path: 'TaskTemplate.Resources.Limits.NanoCPUs',
    edit: template((one) => void (one.Resources.Limits.NanoCPUs = 1e9)),
    restarts: true,
    behind: ['spec.resources.cpuLimit'],
  },
  {
    path: 'TaskTemplate.Resources.Limits.Pids',
    edit: template((one) => void (one.Resources.Limits.Pids = 100)),
    restarts: true,
  },
  { path: 'TaskTemplate.LogDriver.Name', edit: template((one) => void (one.LogDriver = { Name: 'none' })), restarts: true },
  {
    path: 'TaskTemplate.LogDriver.Options.max-size',
    edit: template((one) => void (one.LogDriver = { Name: 'json-file', Options: { 'max-size': '1m', 'max-file': '3' } })),
    restarts: true,
  },
  {
    path: 'TaskTemplate.LogDriver.Options.max-file',
    edit: template((one) => void (one.LogDriver = { Name: 'json-file', Options: { 'max-size': '10m', 'max-file': '2' } })),
    restarts: true,
  },
  {
    path: 'TaskTemplate.Resources.Reservations.MemoryBytes',
    edit: template((one) => void (one.Resources.Reservations.MemoryBytes -= 1024 ** 2)),
    restarts: true,
    behind: ['spec.memory', 'spec.resources.memoryOverhead'],
  },
  {
    path: 'TaskTemplate.RestartPolicy.Condition',
    edit: template((one) => void (one.RestartPolicy['Condition'] = 'on-failure')),
    restarts: true,
  },
  { path: 'TaskTemplate.RestartPolicy.Delay', edit: template((one) => void (one.RestartPolicy['Delay'] = 2e9)), restarts: true },
  {
    path: 'TaskTemplate.Placement.Constraints',
    edit: template((one) => void (one.Placement.Constraints = ['node.labels.other==true'])),
    restarts: true,
    behind: ['spec.networks.*.bridge', 'spec.accelerator'],
  },
  { path: 'TaskTemplate.Placement.MaxReplicas', edit: template((one) => void (one.Placement['MaxReplicas'] = 2)), restarts: true },
  {
    path: 'TaskTemplate.Networks',
    edit: (spec, { networks: [, other] }) => void (firstNetwork(spec.TaskTemplate).Target = other),
    restarts: true,
    behind: ['metadata.name'],
  },
  { path: 'TaskTemplate.ContainerSpec.Image', edit: container((one) => void (one['Image'] = 'swarmvirt-other:1')), restarts: true },
  { path: 'TaskTemplate.ContainerSpec.Command', edit: container((one) => void (one['Command'] = ['more'])), restarts: true },
  { path: 'TaskTemplate.ContainerSpec.User', edit: container((one) => void (one['User'] = '1:1')), restarts: true },
  { path: 'TaskTemplate.ContainerSpec.ReadOnly', edit: container((one) => void (one['ReadOnly'] = false)), restarts: true },
  {
    path: 'TaskTemplate.ContainerSpec.CapabilityDrop',
    edit: container((one) => void (one['CapabilityDrop'] = ['NET_RAW'])),
    restarts: true,
  },
  {
    path: 'TaskTemplate.ContainerSpec.DNSConfig.Nameservers',
    edit: container((one) => void (one['DNSConfig'] = { Nameservers: ['127.0.0.2'] })),
    restarts: true,
  },
  { path: 'TaskTemplate.ContainerSpec.Init', edit: container((one) => void (one['Init'] = false)), restarts: true },
  { path: 'TaskTemplate.ContainerSpec.StopSignal', edit: container((one) => void (one['StopSignal'] = 'SIGINT')), restarts: true },
  {
    path: 'TaskTemplate.ContainerSpec.StopGracePeriod',
    edit: container((one) => void (one['StopGracePeriod'] = 9e9)),
    restarts: true,
    behind: ['spec.terminationGracePeriod'],
  },
  {
    path: 'TaskTemplate.ContainerSpec.Mounts',
    edit: container((one) => void (one['Mounts'] = [{ Type: 'tmpfs', Target: '/scratch' }])),
    restarts: true,
  },
  {
    path: 'TaskTemplate.ContainerSpec.Configs',
    edit: (spec, { references }) => void (spec.TaskTemplate.ContainerSpec['Configs'] = references.Configs),
    restarts: true,
    behind: [
      'spec.cpu.cores',
      'spec.cpu.sockets',
      'spec.cpu.threads',
      'spec.cpu.model',
      'spec.firmware.mode',
      'spec.firmware.secureBoot',
      'spec.firmware.tpm',
      'spec.firmware.kernel.image',
      'spec.firmware.kernel.initrd',
      'spec.firmware.kernel.args',
      'spec.memory',
      'spec.accelerator',
      'spec.networks.*.name',
      'spec.networks.*.mac',
      'spec.networks.*.mtu',
      'spec.networks.*.vlan',
      'spec.networks.*.isolated',
      'spec.networks.*.antiSpoof',
      'spec.networks.*.user.ssh',
      'spec.networks.*.user.ports.*.name',
      'spec.networks.*.user.ports.*.guest',
      'spec.networks.*.user.ports.*.published',
      'spec.networks.*.user.ports.*.protocol',
      'spec.networks.*.direct.device',
      'spec.networks.*.direct.mode',
      'spec.networks.*.ipv4.address',
      'spec.networks.*.ipv4.gateway',
      'spec.networks.*.ipv4.nameservers',
      'spec.cloudInit.sshAuthorizedKeys',
      'spec.disks.*.bus',
      'spec.disks.*.readOnly',
      'spec.console.vnc',
      'spec.watchdog.action',
      'spec.cloudInit.userData',
      'spec.cloudInit.networkData',
    ],
  },
  {
    path: 'TaskTemplate.ContainerSpec.Secrets',
    edit: (spec, { references }) => void (spec.TaskTemplate.ContainerSpec['Secrets'] = references.Secrets),
    restarts: true,
    behind: ['spec.cloudInit.userData'],
  },
]

/** Fields that a person or another tool may add to such a service. */
export const addedFields: readonly TemplateField[] = [
  { path: 'the same once more', edit: () => undefined, restarts: false },
  {
    path: 'the network by its name',
    edit: (spec, { networks: [name] }) => void (firstNetwork(spec.TaskTemplate).Target = name),
    restarts: false,
  },
  { path: 'UpdateConfig taken away', edit: (spec) => void delete spec.UpdateConfig, restarts: false },
  { path: 'EndpointSpec taken away', edit: (spec) => void delete spec.EndpointSpec, restarts: true },
  { path: 'Networks.Aliases', edit: template((one) => void (firstNetwork(one).Aliases = ['other'])), restarts: true },
  { path: 'Env', edit: container((one) => void (one['Env'] = ['A=1'])), restarts: true },
  { path: 'container labels', edit: container((one) => void (one['Labels'] = { a: 'b' })), restarts: true },
  { path: 'Hostname', edit: container((one) => void (one['Hostname'] = 'other')), restarts: true },
  {
    path: 'Preferences',
    edit: template((one) => void (one.Placement['Preferences'] = [{ Spread: { SpreadDescriptor: 'node.labels.x' } }])),
    restarts: true,
  },
  {
    path: 'Platforms',
    edit: template((one) => void (one.Placement['Platforms'] = [{ Architecture: 'amd64', OS: 'linux' }])),
    restarts: true,
  },
  {
    path: 'Ports',
    edit: set('EndpointSpec', { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 8123, PublishMode: 'host' }] }),
    restarts: true,
  },
]

/** As the controller writes it, on this rig's network and for no node. */
export function renderedSpec(rig: Rig, name: string, { Configs, Secrets }: Partial<FieldRig['references']> = {}): RawSpec {
  // A field that is only rendered on request.
  const { vm } = aVm(name, { resources: { cpuLimit: 0.5 } })
  const inputs = inputsOf({ cluster: 'facts', vm, uid: aUid('00000000-0000-4000-8000-000000000001') })
  const made = renderTemplate({
    vm: vm.metadata.name,
    settings: { ...settings, guestsNetwork: rig.networks[0] },
    apiVersion: '1.41',
    inputs,
    node: 'none',
    forceUpdate: 0,
  })
  const written = { ...(made['ContainerSpec'] as RawSpec), Configs: Configs ?? [], Secrets: Secrets ?? [] }
  const TaskTemplate = { ...made, ContainerSpec: written }
  return { Name: `${rig.prefix}-${name}`, Labels: labelsOf(rig), TaskTemplate, ...surroundings(1) }
}

/** Paths of what the renderer writes, lists and labels as one; its name cannot change. */
export function renderedPaths(spec: RawSpec, above = ''): readonly string[] {
  return Object.entries(spec).flatMap(([key, value]) => {
    const path = `${above}${key}`
    if (path === 'Name') return []
    const isLeaf = value === null || typeof value !== 'object' || Array.isArray(value) || path === 'Labels'
    return isLeaf ? [path] : renderedPaths(value as RawSpec, `${path}.`)
  })
}

/** Relates a restart of the task to the effect of the manifest's field. */
export function isMarkedSo(effect: EditEffect | undefined, restarts: boolean): boolean {
  return restarts ? effect === 'restart' || effect === 'first-boot' || effect === 'recreate' : effect === 'live'
}
