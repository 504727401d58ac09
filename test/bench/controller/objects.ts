import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BareSwarm } from '../../lab/bare.ts'
import { each, type RawApi } from './raw-api.ts'

export type Json = Readonly<Record<string, unknown>>

const guests = 'swarmvirt-guests'

export function vmName(number: number): string {
  return `b-${String(number).padStart(5, '0')}`
}

function manifestOf(number: number, cores: number): string {
  const mac = `02:00:00:${[16, 8, 0].map((shift) => ((number >> shift) & 255).toString(16).padStart(2, '0')).join(':')}`
  return `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata:
  name: ${vmName(number)}
spec:
  cpu: { cores: ${cores} }
  memory: 256Mi
  disks:
    - name: root
      size: 1Gi
      image: { source: images/tiny.qcow2 }
  networks:
    - { name: lan, bridge: br0, mac: "${mac}" }
`
}

/** Writes the manifests of the first `count` VMs, each in its own file. */
export function writeManifests(dir: string, count: number): void {
  mkdirSync(dir, { recursive: true })
  for (let number = 0; number < count; number += 1) editManifest(dir, number, 1)
}

export function editManifest(dir: string, number: number, cores: number): void {
  swapIn(dir, vmName(number), manifestOf(number, cores))
}

function swapIn(dir: string, name: string, text: string): void {
  writeFileSync(join(dir, `.${name}.partial`), text)
  renameSync(join(dir, `.${name}.partial`), join(dir, `${name}.yaml`))
}

export function emptyDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
}

/** Pauses the nodes, so that they take no task, and removes the labels that the controller set. */
export async function prepareSwarm(swarm: BareSwarm, api: RawApi): Promise<void> {
  await swarm.docker(['network', 'create', '--driver', 'overlay', '--subnet', '10.99.0.0/16', guests])
  await resetNodes(api)
}

async function resetNodes(api: RawApi): Promise<void> {
  for (const node of await api.get('/nodes')) {
    const { Spec, Version } = node as { Spec: Json; Version: { Index: number } }
    await api.post(`/nodes/${String(node['ID'])}/update?version=${Version.Index}`, { ...Spec, Availability: 'pause', Labels: {} })
  }
}

export async function removeAll(api: RawApi): Promise<void> {
  await each(await api.get('/services'), (one) => api.remove(`/services/${String(one['ID'])}`))
  await each(await api.get('/configs'), (one) => api.remove(`/configs/${String(one['ID'])}`))
  await resetNodes(api)
  // Swarm removes tasks some time after their service.
  while ((await api.get('/tasks')).length > 0) await new Promise((resolve) => setTimeout(resolve, 200))
}

export interface Made {
  readonly services: readonly Json[]
  readonly configs: readonly Json[]
}

export async function readAll(api: RawApi): Promise<Made> {
  return { services: await api.get('/services'), configs: await api.get('/configs') }
}

export function specOf(one: Json): Json & { readonly Name: string } {
  return one['Spec'] as Json & { readonly Name: string }
}

/** A compose file of the services that the controller made: name, image, limits, constraints, config. */
function composeOf({ services, configs }: Made): string {
  const file = {
    version: '3.8',
    networks: { guests: { external: true, name: guests } },
    services: Object.fromEntries(services.map((one) => serviceOf(one))),
    configs: Object.fromEntries(
      configs
        .map((one) => specOf(one).Name)
        .filter((name) => !name.startsWith('sv-vm-'))
        .map((name) => [name, { file: `./${name}` }]),
    ),
  }
  // JSON is YAML.
  return JSON.stringify(file)
}

export function composeFile(dir: string, made: Made): string {
  mkdirSync(dir, { recursive: true })
  for (const { Spec } of made.configs as readonly { Spec: { Name: string; Data: string } }[]) {
    writeFileSync(join(dir, Spec.Name), Buffer.from(Spec.Data, 'base64'))
  }
  const file = join(dir, 'compose.json')
  writeFileSync(file, composeOf(made))
  return file
}

interface ServiceSpec {
  readonly Name: string
  readonly TaskTemplate: {
    readonly ContainerSpec: { readonly Image: string; readonly User: string; readonly Command: string[]; readonly Configs: Json[] }
    readonly Resources: { readonly Limits: { readonly MemoryBytes: number } }
    readonly Placement: { readonly Constraints: string[] }
  }
}

function serviceOf(service: Json): [string, Json] {
  const { Name, TaskTemplate } = service['Spec'] as ServiceSpec
  const { Image, User, Command, Configs } = TaskTemplate.ContainerSpec
  const memory = `${TaskTemplate.Resources.Limits.MemoryBytes}`
  return [
    Name,
    {
      image: Image,
      user: User,
      entrypoint: Command,
      read_only: true,
      networks: ['guests'],
      configs: Configs.map((one) => ({ source: String(one['ConfigName']), target: '/launch.json' })),
      deploy: {
        endpoint_mode: 'dnsrr',
        placement: { constraints: TaskTemplate.Placement.Constraints },
        resources: { limits: { memory }, reservations: { memory } },
      },
    },
  ]
}
