import { managedBy, manifestLabels, objectLabels } from '../../api/labels.ts'
import { serviceName, type VmName, vmNamePattern } from '../../api/names.ts'
import { type Clock, rfc3339 } from '../../ports/clock.ts'
import { PortError } from '../../ports/errors.ts'
import type { Labels, Swarm, SwarmConfig, SwarmEvent, SwarmNode, SwarmSecret, SwarmService } from '../../ports/swarm.ts'
import { ownCreations } from './own-creations.ts'
import { type OwnWrite, ownWrites } from './own-writes.ts'
import { filedBy, isSame, type Relisted, type Shelf, shelf, type Stored, unreadVersion } from './shelf.ts'
import { taskBoard } from './task-board.ts'

/** The Swarm as it was last read, with what events and our own writes put in doubt read again before it is given. */
export interface InformedSwarm {
  /**
   * For who acts on what is *not* there: reads that were begun within the last seconds, whatever events said or did not say. A single object is asked
   * for again only where its absence is older, so nothing is to follow from it but what Docker itself refuses when the object is there after all.
   */
  readonly recent: Pick<Swarm, 'listNodes' | 'getService' | 'getConfig'>
  /** Until what is held of services and configs is as recent as that; who watches has been told of all of it then. */
  readonly refresh: (signal?: AbortSignal) => Promise<void>
  /** Calls back whenever another object, or none, is held by a name. */
  readonly watch: (listeners: Watchers) => void
  /** Reads come from memory where they may; every write goes to Docker. What is absent in memory is asked of Docker. */
  readonly swarm: Swarm
  /** A hint: what it names is read again. False where it only tells of what we wrote ourselves. */
  readonly note: (event: SwarmEvent) => boolean
  /** Events may have been lost: everything is read again. */
  readonly doubtAll: () => void
  /** Reads what changes without our doing; answers what a look is worth. */
  readonly relist: (kinds: 'often' | 'all', signal?: AbortSignal) => Promise<Changed>
  /** Reads all tasks; answers the VMs whose tasks changed. */
  readonly relistTasks: (signal?: AbortSignal) => Promise<readonly VmName[]>
}

interface Watchers {
  readonly config: (name: string, config: SwarmConfig | undefined) => void
  readonly service: (name: string, service: SwarmService | undefined) => void
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
/** A write is answered in milliseconds: of one that hangs it is not known whether it was made. */
const promptMs = 200

const ours = `${objectLabels.managedBy}=${managedBy}`

export function informedSwarm(raw: Swarm, clock: Clock): InformedSwarm {
  const creations = ownCreations(raw, clock)
  // Other people's services too: a node label may not be taken from under one that was ours.
  const now = (): number => clock.elapsed()
  const services = shelf<SwarmService>({
    now,
    list: (signal) => creations.services.listServices(undefined, signal),
    get: (name, signal) => creations.services.getService(name, signal),
  })
  const configs = shelf<SwarmConfig>({
    now,
    list: (signal) => raw.listConfigs(ours, signal),
    isListed: ({ labels }) => isOurs(labels),
    get: (name, signal) => raw.getConfig(name, signal),
  })
  const secrets = shelf<SwarmSecret>({ now, list: (signal) => raw.listSecrets(ours, signal) })
  const nodes = shelf<SwarmNode & Stored>({ now, list: async (signal) => namedNodes(await raw.listNodes(signal)) })
  const tasks = taskBoard(raw, clock)

  const own = { service: ownWrites(clock), config: ownWrites(clock), secret: ownWrites(clock), node: ownWrites(clock) }

  /**
   * One write of an object. Until it is answered the object is as it was, and its answer says what has become of it, unless somebody else was
   * heard of meanwhile; what a write was about that failed or hangs is in doubt, since it may have been made.
   */
  async function writing<Item extends Stored, Answer>(
    to: { readonly kind: keyof typeof own; readonly shelf: Shelf<Item> },
    what: Pick<OwnWrite, 'name' | 'action' | 'id'>,
    send: () => Promise<Answer>,
    said: (answer: Answer) => Item | undefined = () => undefined,
  ): Promise<Answer> {
    const write = own[to.kind].begin(what.name, what.action, what.id)
    const before = to.shelf.expect(what.name)
    const cancel = clock.after(promptMs, () => to.shelf.doubt(what.name))
    let item: Item | undefined
    try {
      const answer = await send()
      const isAll = own[to.kind].made(write, what.id ?? String(answer))
      item = isAll ? said(answer) : undefined
      return answer
    } catch (error) {
      own[to.kind].failed(write)
      throw error
    } finally {
      cancel()
      to.shelf.wrote(what.name, item, before)
    }
  }

  /** What a removal was about is in doubt before, since others read meanwhile, and after, however it ended. */
  async function removing(doubt: () => void, remove: () => Promise<void>): Promise<void> {
    doubt()
    try {
      await remove()
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

  /** An object of which only our own write is known is read before it is written to again, and must be as it was written. */
  async function withVersion(config: SwarmConfig, signal: AbortSignal | undefined): Promise<SwarmConfig> {
    if (config.version !== unreadVersion) return config
    const now = await raw.getConfig(config.name, signal)
    if (now !== undefined && isSame(config, now)) return now
    configs.doubt(config.name)
    throw new PortError('Conflict', `${config.name} was changed since it was written`)
  }

  const swarm: Swarm = {
    listNodes: (signal) => nodes.all(signal),
    updateNodeLabels: (node, labels, signal) =>
      writing({ kind: 'node', shelf: nodes }, { name: node.id, action: 'update', id: node.id }, () =>
        raw.updateNodeLabels(node, labels, signal),
      ),
    listServices: async (label, signal) => labelled(services, label, signal),
    getService: (nameOrId, signal) => services.byName(services.nameOf(nameOrId) ?? nameOrId, signal),
    async createService(spec, signal) {
      const what = { name: String(spec['Name']), action: 'create', id: undefined } as const
      // What Docker keeps of a spec is not always what it was given.
      const id = await writing({ kind: 'service', shelf: services }, what, () => naming(creations.services.createService(spec, signal)))
      tasks.doubt(id)
      return id
    },
    async updateService(id, version, spec, signal) {
      const name = services.nameOf(id)
      if (name === undefined) services.doubtAll()
      tasks.doubt(id)
      try {
        const what = { name: name ?? id, action: 'update', id } as const
        await writing({ kind: 'service', shelf: services }, what, () => naming(raw.updateService(id, version, spec, signal)))
      } finally {
        if (name === undefined) services.doubtAll()
        tasks.doubt(id)
      }
    },
    async removeService(id, signal) {
      await unchanged(services, id, (name) => creations.services.getService(name, signal), signal)
      return removing(ofService(id), () => creations.services.removeService(id, signal))
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
        { kind: 'config', shelf: configs },
        { name, action: 'create', id: undefined },
        () => raw.createConfig(name, labels, data, signal),
        (id) => (isOurs(labels) ? { id, version: unreadVersion, name, labels, data, createdAt: rfc3339(clock) } : undefined),
      ),
    async updateConfigLabels(config, labels, signal) {
      const seen = await withVersion(config, signal)
      return writing(
        { kind: 'config', shelf: configs },
        { name: seen.name, action: 'update', id: seen.id },
        () => raw.updateConfigLabels(seen, labels, signal),
        () => (isOurs(labels) ? { ...seen, labels, version: unreadVersion } : undefined),
      )
    },
    async removeConfig(id, signal) {
      await unchanged(configs, id, (name) => raw.getConfig(name, signal), signal)
      return removing(byId(configs, id), () => raw.removeConfig(id, signal))
    },
    listSecrets: async (label, signal) => labelled(secrets, label, signal),
    createSecret: (name, labels, data, signal) =>
      writing(
        { kind: 'secret', shelf: secrets },
        { name, action: 'create', id: undefined },
        () => raw.createSecret(name, labels, data, signal),
        (id) => (isOurs(labels) ? { id, version: unreadVersion, name, labels, createdAt: rfc3339(clock) } : undefined),
      ),
    async removeSecret(id, signal) {
      await unchanged(secrets, id, (name) => listedSecret(raw, name, signal), signal)
      return removing(byId(secrets, id), () => raw.removeSecret(id, signal))
    },
    apiVersion: (signal) => raw.apiVersion(signal),
    events: (signal) => raw.events(signal),
  }

  const vmOf = ({ name, labels }: { readonly name: string; readonly labels: Labels }): VmName[] => {
    // A label may name another VM than the object's own name does.
    const named = name.startsWith(serviceName('')) ? name.slice(serviceName('').length) : ''
    return [...new Set([named, labels[objectLabels.vm] ?? ''])].filter((vm) => vmNamePattern.test(vm))
  }

  return {
    swarm,
    recent: {
      listNodes: (signal) => nodes.recent(recentMs, signal),
      getService: (name, signal) => services.byNameRecently(name, recentMs, signal),
      getConfig: (name, signal) => configs.byNameRecently(name, recentMs, signal),
    },
    async refresh(signal) {
      await configs.refresh(recentMs, signal)
      await services.refresh(recentMs, signal)
    },
    watch({ config, service }) {
      configs.watch(config)
      services.watch(service)
    },
    note(event) {
      creations.note(event)
      // Of a node its name is no key.
      const named = event.type === 'node' ? { ...event, name: event.id } : event
      if (Object.hasOwn(own, event.type) && own[event.type as keyof typeof own].explains(named)) return false
      const of = { service: services, config: configs, secret: secrets, node: nodes }[event.type as keyof typeof own]
      if (event.type === 'node') nodes.doubtAll()
      else if (of !== undefined && event.name !== '') of.doubt(event.name)
      else of?.doubtAll()
      if (event.type === 'service') tasks.doubt(event.id)
      return true
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
  const now = await get(name).catch((error: unknown) => {
    from.doubt(name)
    throw error
  })
  if (now === undefined || known === undefined || isSame(known, now)) return
  from.doubt(name)
  throw new PortError('Conflict', `${name} was changed since it was looked at`)
}

/** Secrets are read as a list of ours. One that is not in it is gone, or is not ours any more: the next look tells. */
async function listedSecret(raw: Pick<Swarm, 'listSecrets'>, name: string, signal: AbortSignal | undefined): Promise<SwarmSecret> {
  const found = (await raw.listSecrets(ours, signal)).find((one) => one.name === name)
  if (found === undefined) throw new PortError('Conflict', `${name} is not among swarmvirt's secrets any more`)
  return found
}

/** Only what carries it is in the lists. */
function isOurs(labels: Labels): boolean {
  return labels[objectLabels.managedBy] === managedBy
}

/** Of the same list the same one. */
const namedLists = new WeakMap<readonly SwarmNode[], readonly (SwarmNode & Stored)[]>()

function namedNodes(nodes: readonly SwarmNode[]): readonly (SwarmNode & Stored)[] {
  const named = namedLists.get(nodes) ?? nodes.map((node) => ({ ...node, name: node.id }))
  namedLists.set(nodes, named)
  return named
}

/** `key` or `key=value`, as Docker filters. */
async function labelled<Item extends Stored>(
  from: Shelf<Item>,
  label: string | undefined,
  signal: AbortSignal | undefined,
): Promise<readonly Item[]> {
  const by = filedBy.find((one) => label?.startsWith(`${one}=`) === true)
  if (label !== undefined && by !== undefined) return from.filed(by, label.slice(by.length + 1), signal)
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
