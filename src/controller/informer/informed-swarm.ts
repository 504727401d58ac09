import { managedBy, manifestLabels, objectLabels } from '../../api/labels.ts'
import { serviceName, type VmName, vmNamePattern } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import { PortError } from '../../ports/errors.ts'
import type { Labels, Swarm, SwarmConfig, SwarmEvent, SwarmNode, SwarmSecret, SwarmService } from '../../ports/swarm.ts'
import { type Relisted, type Shelf, shelf, type Stored } from './shelf.ts'
import { taskBoard } from './task-board.ts'

/** The Swarm as it was last read, with what events and our own writes put in doubt read again before it is given. */
export interface InformedSwarm {
  /** Lists for who acts on what is not in them: begun within the last seconds, whatever events said or did not say. */
  readonly recent: Pick<Swarm, 'listNodes' | 'listServices' | 'listConfigs'>
  /** Reads come from memory where they may; every write goes to Docker. What is absent in memory is asked of Docker. */
  readonly swarm: Swarm
  /** A hint: what it names is read again. */
  readonly note: (event: SwarmEvent) => void
  /** Events may have been lost: everything is read again. */
  readonly doubtAll: () => void
  /** Reads what changes without our doing; answers what a look is worth. */
  readonly relist: (kinds: 'often' | 'all', signal?: AbortSignal) => Promise<Changed>
  /** Reads all tasks; answers the VMs whose tasks changed. */
  readonly relistTasks: (signal?: AbortSignal) => Promise<readonly VmName[]>
}

export interface Changed {
  readonly vms: readonly VmName[]
  /** Something about the nodes: placement depends on them. */
  readonly nodes: boolean
  /** Some of it no event told of, and nobody here wrote it. */
  readonly unheard: boolean
}

/** Some VMs are placed at once, and share a list. */
const recentMs = 2_000

const ours = `${objectLabels.managedBy}=${managedBy}`

export function informedSwarm(raw: Swarm, clock: Clock): InformedSwarm {
  // Other people's services too: a node label may not be taken from under one that was ours.
  const now = (): number => clock.elapsed()
  const services = shelf<SwarmService>({
    now,
    list: (signal) => raw.listServices(undefined, signal),
    get: (name, signal) => raw.getService(name, signal),
  })
  const configs = shelf<SwarmConfig>({
    now,
    list: (signal) => raw.listConfigs(ours, signal),
    get: (name, signal) => raw.getConfig(name, signal),
  })
  const secrets = shelf<SwarmSecret>({ now, list: (signal) => raw.listSecrets(ours, signal) })
  const nodes = shelf<SwarmNode & Stored>({ now, list: async (signal) => (await raw.listNodes(signal)).map(named) })
  const tasks = taskBoard(raw, clock)

  /** A write that failed may have been made: what it was about is in doubt before, since others read meanwhile, and after. */
  async function writing<Answer>(doubt: () => void, write: () => Promise<Answer>): Promise<Answer> {
    doubt()
    try {
      return await write()
    } finally {
      doubt()
    }
  }

  /** A service names configs and secrets: where Docker refuses it, one of those may be gone and nobody heard of it. */
  async function naming<Answer>(written: Promise<Answer>): Promise<Answer> {
    try {
      return await written
    } catch (error) {
      configs.doubtAll()
      secrets.doubtAll()
      throw error
    }
  }

  const byId = (from: Shelf<Stored>, id: string) => () => {
    const name = from.nameOf(id)
    if (name === undefined) from.doubtAll()
    else from.doubt(name)
  }
  const ofService = (id: string) => () => {
    byId(services, id)()
    tasks.doubt(id)
  }

  const swarm: Swarm = {
    listNodes: (signal) => nodes.all(signal),
    updateNodeLabels: (node, labels, signal) =>
      writing(
        () => nodes.doubtAll(),
        () => raw.updateNodeLabels(node, labels, signal),
      ),
    listServices: async (label, signal) => labelled(services, label, signal),
    getService: (nameOrId, signal) => services.byName(services.nameOf(nameOrId) ?? nameOrId, signal),
    createService: (spec, signal) =>
      writing(
        () => services.doubt(String(spec['Name'])),
        () => naming(raw.createService(spec, signal)),
      ),
    updateService: (id, version, spec, signal) => writing(ofService(id), () => naming(raw.updateService(id, version, spec, signal))),
    async removeService(id, signal) {
      await unchanged(services, id, (name) => raw.getService(name, signal), signal)
      return writing(ofService(id), () => raw.removeService(id, signal))
    },
    listTasks: ({ serviceId, nodeId }, signal) =>
      serviceId !== undefined && nodeId === undefined
        ? tasks.ofService(serviceId, signal)
        : raw.listTasks({ ...(serviceId === undefined ? {} : { serviceId }), ...(nodeId === undefined ? {} : { nodeId }) }, signal),
    async listConfigs(label, signal) {
      // Only our own are kept: an operator's manifests may be many and large, and are read by their source.
      return label.startsWith(manifestLabels.manifest) ? raw.listConfigs(label, signal) : labelled(configs, label, signal)
    },
    getConfig: (name, signal) => configs.byName(name, signal),
    createConfig: (name, labels, data, signal) =>
      writing(
        () => configs.doubt(name),
        () => raw.createConfig(name, labels, data, signal),
      ),
    updateConfigLabels: (config, labels, signal) =>
      writing(
        () => configs.doubt(config.name),
        () => raw.updateConfigLabels(config, labels, signal),
      ),
    async removeConfig(id, signal) {
      await unchanged(configs, id, (name) => raw.getConfig(name, signal), signal)
      return writing(byId(configs, id), () => raw.removeConfig(id, signal))
    },
    listSecrets: async (label, signal) => labelled(secrets, label, signal),
    createSecret: (name, labels, data, signal) =>
      writing(
        () => secrets.doubt(name),
        () => raw.createSecret(name, labels, data, signal),
      ),
    removeSecret: (id, signal) => writing(byId(secrets, id), () => raw.removeSecret(id, signal)),
    apiVersion: (signal) => raw.apiVersion(signal),
    events: (signal) => raw.events(signal),
  }

  const vmOf = ({ name, labels }: { readonly name: string; readonly labels: Labels }): VmName[] => {
    const vm = labels[objectLabels.vm] ?? (name.startsWith(serviceName('')) ? name.slice(serviceName('').length) : '')
    return vmNamePattern.test(vm) ? [vm] : []
  }

  return {
    swarm,
    recent: {
      listNodes: (signal) => nodes.recent(recentMs, signal),
      listServices: async (label, signal) => filtered(await services.recent(recentMs, signal), label),
      listConfigs: async (label, signal) => filtered(await configs.recent(recentMs, signal), label),
    },
    note(event) {
      const of = { service: services, config: configs, secret: secrets, node: nodes }[event.type as 'service']
      if (event.type === 'node') nodes.doubtAll()
      else if (of !== undefined && event.name !== '') of.doubt(event.name)
      else of?.doubtAll()
      if (event.type === 'service') tasks.doubt(event.id)
    },
    doubtAll() {
      for (const one of [services, configs, secrets, nodes]) one.doubtAll()
    },
    async relist(kinds, signal) {
      const ofNodes = await nodes.relist(signal)
      const seldom: Relisted<Stored>[] = kinds === 'all' ? [await configs.relist(signal), await secrets.relist(signal)] : []
      // Last, so that no service is older than what it refers to.
      const read: Relisted<Stored>[] = [...seldom, await services.relist(signal)]
      return {
        vms: [...new Set(read.flatMap(({ changed }) => changed).flatMap(vmOf))],
        nodes: ofNodes.changed.length > 0,
        unheard: [ofNodes, ...read].some(({ unheard }) => unheard.length > 0),
      }
    },
    async relistTasks(signal) {
      const changed = await tasks.relist(signal)
      return changed.flatMap((id) => vmOf({ name: services.nameOf(id) ?? '', labels: {} }))
    },
  }
}

/** Docker removes by id, whatever has become of the object since it was read: what somebody changed meanwhile is looked at again first. */
async function unchanged<Item extends Stored>(
  from: Shelf<Item>,
  id: string,
  get: (name: string) => Promise<Item | undefined>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const name = from.nameOf(id)
  if (name === undefined) return
  const known = await from.byName(name, signal)
  const now = await get(name)
  if (now === undefined || known === undefined || (now.id === known.id && now.version === known.version)) return
  from.doubt(name)
  throw new PortError('Conflict', `${name} was changed since it was looked at`)
}

function named(node: SwarmNode): SwarmNode & Stored {
  return { ...node, name: node.id }
}

/** `key` or `key=value`, as Docker filters. */
async function labelled<Item extends Stored>(
  from: Shelf<Item>,
  label: string | undefined,
  signal: AbortSignal | undefined,
): Promise<readonly Item[]> {
  const prefix = `${objectLabels.vm}=`
  if (label?.startsWith(prefix) === true) return from.ofVm(label.slice(prefix.length), signal)
  return filtered(await from.all(signal), label)
}

/** By list and label: while nothing moves, the same list is asked for again and again. */
const chosen = new WeakMap<readonly Stored[], Map<string, readonly Stored[]>>()

function filtered<Item extends Stored>(items: readonly Item[], label: string | undefined): readonly Item[] {
  if (label === undefined) return items
  const known = chosen.get(items) ?? new Map<string, readonly Stored[]>()
  const found = (known.get(label) as readonly Item[] | undefined) ?? choose(items, label)
  chosen.set(items, known.set(label, found))
  return found
}

function choose<Item extends Stored>(items: readonly Item[], label: string): readonly Item[] {
  const [key = '', ...rest] = label.split('=')
  const value = rest.length === 0 ? undefined : rest.join('=')
  return items.filter(({ labels }) => (value === undefined ? Object.hasOwn(labels, key) : labels[key] === value))
}
