/** The objects of one VM in the Swarm and on the nodes, and the objects there that belong to nobody. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import type { Lab } from '../../lab/lab.ts'

interface SwarmObject {
  readonly ID: string
  readonly Spec: {
    readonly Name?: string
    readonly Labels?: Readonly<Record<string, string>>
    readonly TaskTemplate?: { readonly Placement?: { readonly Constraints?: readonly string[] } }
  }
}

export interface Traces {
  readonly services: readonly SwarmObject[]
  readonly records: readonly SwarmObject[]
  /** Launch configs and the like. */
  readonly configs: readonly SwarmObject[]
  readonly secrets: readonly SwarmObject[]
  /** Host name of the node that each of its services is held to. */
  readonly held: readonly string[]
  /** `HOSTNAME UID` of each directory in which a disk of the VM lies. */
  readonly disks: readonly string[]
}

const label = { vm: 'swarmvirt.vm', component: 'swarmvirt.component', uid: 'swarmvirt.uid' } as const

/** GET of the Engine API of n1, past any proxy. */
function get(lab: Lab, path: string): Promise<unknown> {
  const { dockerSocket: socketPath } = lab.node('n1')
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: `/v1.41${path}`, agent: false }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        if (answer.statusCode === 200) resolve(JSON.parse(text))
        else reject(new Error(`GET ${path}: ${answer.statusCode ?? 0} ${text}`))
      })
      answer.on('error', reject)
    })
    asked.on('error', reject)
    asked.end()
  })
}

interface SwarmNode extends SwarmObject {
  readonly Description: { readonly Hostname: string }
}

export async function tracesOf(lab: Lab, vm: string): Promise<Traces> {
  const [services, configs, secrets, nodes] = await Promise.all(
    ['/services', '/configs', '/secrets', '/nodes'].map((path) => get(lab, path)),
  )
  const own = (all: unknown): SwarmObject[] => (all as SwarmObject[]).filter((one) => one.Spec.Labels?.[label.vm] === vm)
  const isRecord = (one: SwarmObject): boolean => one.Spec.Labels?.[label.component] === 'placement'
  const ofVm = own(services)
  const constraints = ofVm.flatMap(({ Spec }) => Spec.TaskTemplate?.Placement?.Constraints ?? [])
  const held = (nodes as SwarmNode[]).filter(({ ID }) => constraints.includes(`node.id==${ID}`))
  const configsOfVm = own(configs)
  return {
    services: ofVm,
    records: configsOfVm.filter(isRecord),
    configs: configsOfVm.filter((one) => !isRecord(one)),
    secrets: own(secrets),
    held: held.map((node) => node.Description.Hostname),
    disks: lab.nodes.flatMap((node) => disksOn(node.stateRoot, vm).map((uid) => `${node.name} ${uid}`)),
  }
}

function disksOn(stateRoot: string, vm: string): string[] {
  const instances = join(stateRoot, 'instances')
  return readdirSync(instances).filter((uid) => {
    const identity = join(instances, uid, 'identity.json')
    return existsSync(identity) && (JSON.parse(readFileSync(identity, 'utf8')) as { vm?: string }).vm === vm
  })
}

/** Every uid that anything of the VM carries: more than one is a disk that is lost. */
export function uidsIn(traces: Traces): readonly string[] {
  const labelled = [...traces.services, ...traces.records, ...traces.configs, ...traces.secrets].map((one) => one.Spec.Labels?.[label.uid])
  const named = traces.disks.map((one) => one.split(' ')[1])
  return [...new Set([...labelled, ...named].filter((uid) => uid !== undefined))]
}

/** The same for every VM that came to the same end: without what differs from VM to VM and from object to object. */
export function shapeOf(traces: Traces, vm: string): unknown {
  let text = JSON.stringify({
    services: traces.services.map((one) => one.Spec),
    records: traces.records.map((one) => one.Spec),
    configs: traces.configs.map((one) => kindOf(one)).toSorted(),
    secrets: traces.secrets.map((one) => kindOf(one)).toSorted(),
    held: traces.held.length,
    disks: traces.disks.length,
  })
  for (const uid of uidsIn(traces)) text = text.replaceAll(uid, 'UID')
  text = text.replaceAll(new RegExp(`\\b${vm}\\b`, 'g'), 'VM')
  // Object and node ids, names made of hashes, hashes of inputs with names in them, MACs, and times.
  text = text.replaceAll(/("|node\.id==)[0-9a-z]{25}"/g, '$1ID"').replaceAll(/\bsv-[0-9a-f]{8,}\b/g, 'sv-HASH')
  text = text.replaceAll(/"[0-9a-f]{12,64}"/g, '"HASH"').replaceAll(/\b\d{4}-\d\d-\d\dT[0-9:.]+Z/g, 'TIME')
  text = text.replaceAll(/"Data":"[^"]*"/g, '"Data":"…"').replaceAll(/52:54:00(:[0-9a-f]{2}){3}/g, 'MAC')
  return JSON.parse(text)
}

/** The component and label names of a config or secret. The label values are hashes. */
function kindOf({ Spec }: SwarmObject): string {
  return [Spec.Labels?.[label.component], ...Object.keys(Spec.Labels ?? {}).toSorted()].join(' ')
}

/** Everything without our mark, byte for byte; of nodes the labels that are not ours. */
export async function foreignTo(lab: Lab): Promise<string> {
  const [services, configs, secrets, nodes] = await Promise.all(
    ['/services', '/configs', '/secrets', '/nodes'].map((path) => get(lab, path)),
  )
  const foreign = [services, configs, secrets].map((all) =>
    (all as SwarmObject[])
      .filter(({ Spec }) => Spec.Labels?.['swarmvirt.managed-by'] === undefined && !(Spec.Name ?? '').startsWith('swarmvirt_'))
      .toSorted((a, b) => a.ID.localeCompare(b.ID)),
  )
  const ours = /^(vm-capable$|swarmvirt\.)/
  const labels = (nodes as SwarmNode[]).flatMap(({ ID, Spec }) =>
    Object.entries(Spec.Labels ?? {}).flatMap(([key, value]) => (ours.test(key) ? [] : [`${ID} ${key}=${value}`])),
  )
  return JSON.stringify([foreign, labels.toSorted()])
}
