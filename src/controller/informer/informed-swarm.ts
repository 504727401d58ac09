import { managedBy, manifestLabels, objectLabels } from '../../api/labels.ts'
import { serviceName, type VmName, vmNamePattern } from '../../api/names.ts'
import { type Clock, rfc3339 } from '../../ports/clock.ts'
import type { Labels, Swarm, SwarmConfig, SwarmEvent, SwarmNode, SwarmSecret, SwarmService } from '../../ports/swarm.ts'
import { readThrough, type ReadThrough, type ReadThroughPorts } from './read-through.ts'
import { type Store, store, type Stored, type StoreListener, unreadVersion } from './store.ts'
import { taskLister } from './task-lister.ts'
import { type OwnWrite, writeLog, type WriteLog } from './write-log.ts'

/** The Swarm behind a cache, as client-go's shared informer: reconcilers read memory, and Docker is asked only for what events and writes made stale. */
export interface InformedSwarm {
  /** Reads come from the cache where it is good enough; every write goes to Docker. What the cache lacks by name is asked of Docker. */
  readonly swarm: Swarm
  /**
   * The same reads, from reads that began within the last two seconds. For callers that act on an absence although events may be lost, and for whom
   * Docker itself refuses the write if the object exists after all.
   */
  readonly recent: Pick<Swarm, 'listNodes' | 'getService' | 'getConfig'>
  /** Makes the cached services and configs as recent as `recent`; watchers are called for each change before it resolves. */
  readonly refresh: (signal?: AbortSignal) => Promise<void>
  /** Calls back after each change of a cached object. */
  readonly watch: (listeners: { readonly config: StoreListener<SwarmConfig>; readonly service: StoreListener<SwarmService> }) => void
  /** Invalidates what the event names. Returns false if the event only reports a write of ours. */
  readonly applyEvent: (event: SwarmEvent) => boolean
  readonly invalidateConfig: (name: string) => void
  /** Events may have been lost: everything is read again. */
  readonly invalidateAll: () => void
  /** Lists nodes and services, and with `all` also configs and secrets. Returns what no earlier call returned. */
  readonly relist: (kinds: 'often' | 'all', signal?: AbortSignal) => Promise<Changed>
  /** Lists all tasks. Returns the VMs whose tasks changed. */
  readonly relistTasks: (signal?: AbortSignal) => Promise<readonly VmName[]>
}

export interface Changed {
  readonly vms: readonly VmName[]
  /** Whether a node changed: placement depends on the nodes. */
  readonly nodes: boolean
  /** Whether something changed that no event reported and that we did not write: the event stream may be dead. */
  readonly unannounced: boolean
}

/** Docker answers a write in milliseconds. If it takes longer, the write may or may not have been made. */
const promptMs = 200

const ours = `${objectLabels.managedBy}=${managedBy}`
const isOurs = ({ labels }: { readonly labels: Labels }): boolean => labels[objectLabels.managedBy] === managedBy
const nameOf = ({ name }: Named): string => name

interface Named {
  readonly name: string
  readonly labels: Labels
}

type Reads<Item extends Stored> = Pick<ReadThroughPorts<Item>, 'list' | 'isListed' | 'get' | 'onUnannounced'>

/** What the informer keeps of one kind of object. */
interface Kind<Item extends Stored> {
  readonly store: Store<Item>
  readonly writes: WriteLog
  readonly cache: ReadThrough<Item>
}

export function informedSwarm(raw: Swarm, clock: Clock): InformedSwarm {
  /** Since the last `relist`. */
  let unannounced: { readonly nodes: SwarmNode[]; readonly objects: Named[] } = { nodes: [], objects: [] }

  function kind<Item extends Stored>(keyOf: (item: Item) => string, reads: (writes: WriteLog) => Reads<Item>): Kind<Item> {
    const writes = writeLog(clock)
    const items = store(keyOf)
    const cache = readThrough({ store: items, now: () => clock.elapsed(), isExpected: writes.isPending, ...reads(writes) })
    return { store: items, writes, cache }
  }

  const onUnannounced = (object: Named): void => void unannounced.objects.push(object)
  // Other people's services too: a VM's name may be taken by one of them.
  const services = kind<SwarmService>(nameOf, (writes) => ({ ...upToDateServices(raw, writes), onUnannounced }))
  const configs = kind<SwarmConfig>(nameOf, () => ({
    list: (signal) => raw.listConfigs(ours, signal),
    isListed: isOurs,
    get: (name, signal) => raw.getConfig(name, signal),
    onUnannounced,
  }))
  const secrets = kind<SwarmSecret>(nameOf, () => ({ list: (signal) => raw.listSecrets(ours, signal), isListed: isOurs, onUnannounced }))
  const nodes = kind<SwarmNode>(
    ({ id }) => id,
    () => ({ list: (signal) => raw.listNodes(signal), onUnannounced: (node) => void unannounced.nodes.push(node) }),
  )
  const tasks = taskLister(raw, clock)

  /** Sends a write. Until Docker answers, the object is served as it was; then as `result` says, or it is stale. */
  async function write<Item extends Stored, Answer>(
    { store: items, writes, cache }: Kind<Item>,
    what: Pick<OwnWrite, 'key' | 'action' | 'id'>,
    send: () => Promise<Answer>,
    result: (answer: Answer) => Item | undefined = () => undefined,
  ): Promise<Answer> {
    const own = writes.begin(what)
    const before = items.get(what.key)
    const cancel = clock.after(promptMs, () => cache.invalidate(what.key))
    let item: Item | undefined
    try {
      const answer = await send()
      item = writes.succeeded(own, what.id ?? String(answer)) ? result(answer) : undefined
      return answer
    } catch (error) {
      writes.failed(own)
      throw error
    } finally {
      cancel()
      cache.wrote(what.key, item, before)
    }
  }

  /** Docker removes by id, without a version: what changed since it was read is not removed. */
  async function remove<Item extends Stored>(
    { store: items, writes, cache }: Kind<Item>,
    id: string,
    send: () => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const key = items.keyOfId(id)
    const known = key === undefined ? undefined : items.get(key)
    if (known !== undefined) await cache.verify(known, signal)
    writes.removed(id)
    try {
      await send()
    } finally {
      if (key !== undefined) cache.invalidate(key)
    }
  }

  /** A service names configs and secrets. If Docker refuses it, one of them may be gone without an event. */
  async function writeService<Answer>(written: Promise<Answer>): Promise<Answer> {
    try {
      return await written
    } catch (error) {
      configs.cache.invalidateAll()
      secrets.cache.invalidateAll()
      throw error
    }
  }

  const swarm: Swarm = {
    listNodes: (signal) => nodes.cache.list({}, signal),
    updateNodeLabels: (node, labels, signal) =>
      write(nodes, { key: node.id, action: 'update', id: node.id }, () => raw.updateNodeLabels(node, labels, signal)),
    listServices: (label, signal) => services.cache.list({ label }, signal),
    getService: (nameOrId, signal) => services.cache.get(services.store.keyOfId(nameOrId) ?? nameOrId, 'live', signal),
    // Docker may store another spec than it was given (an old leader drops fields it does not know), so the service is read again.
    async createService(spec, signal) {
      const what = { key: String(spec['Name']), action: 'create', id: undefined } as const
      const id = await write(services, what, () => writeService(raw.createService(spec, signal)))
      tasks.invalidate(id)
      return id
    },
    async updateService(id, version, spec, signal) {
      const key = services.store.keyOfId(id) ?? id
      try {
        await write(services, { key, action: 'update', id }, () => writeService(raw.updateService(id, version, spec, signal)))
      } finally {
        tasks.invalidate(id)
      }
    },
    removeService: (id, signal) => remove(services, id, () => raw.removeService(id, signal), signal).finally(() => tasks.invalidate(id)),
    listTasks: ({ serviceId, nodeId }, signal) =>
      serviceId !== undefined && nodeId === undefined
        ? tasks.ofService(serviceId, signal)
        : raw.listTasks({ ...(serviceId === undefined ? {} : { serviceId }), ...(nodeId === undefined ? {} : { nodeId }) }, signal),
    // Only our own are cached: an operator's manifests may be many and large, and their source reads them.
    listConfigs: (label, signal) =>
      label.startsWith(manifestLabels.manifest) ? raw.listConfigs(label, signal) : configs.cache.list({ label }, signal),
    getConfig: (name, signal) => configs.cache.get(name, 'live', signal),
    createConfig: (name, labels, data, signal) =>
      write(
        configs,
        { key: name, action: 'create', id: undefined },
        () => raw.createConfig(name, labels, data, signal),
        (id) => ({ id, version: unreadVersion, name, labels, data, createdAt: rfc3339(clock) }),
      ),
    async updateConfigLabels(config, labels, signal) {
      const known = config.version === unreadVersion ? await configs.cache.verify(config, signal) : config
      const item = { ...known, labels, version: unreadVersion }
      const what = { key: known.name, action: 'update', id: known.id } as const
      await write(
        configs,
        what,
        () => raw.updateConfigLabels(known, labels, signal),
        () => item,
      )
    },
    removeConfig: (id, signal) => remove(configs, id, () => raw.removeConfig(id, signal), signal),
    listSecrets: (label, signal) => secrets.cache.list({ label }, signal),
    createSecret: (name, labels, data, signal) =>
      write(
        secrets,
        { key: name, action: 'create', id: undefined },
        () => raw.createSecret(name, labels, data, signal),
        (id) => ({ id, version: unreadVersion, name, labels, createdAt: rfc3339(clock) }),
      ),
    removeSecret: (id, signal) => remove(secrets, id, () => raw.removeSecret(id, signal), signal),
    apiVersion: (signal) => raw.apiVersion(signal),
    events: (signal) => raw.events(signal),
  }

  const kinds: Partial<Record<SwarmEvent['type'], { writes: WriteLog; cache: Pick<ReadThrough<Stored>, 'invalidate' | 'invalidateAll'> }>> =
    {
      service: services,
      config: configs,
      secret: secrets,
      node: nodes,
    }

  return {
    swarm,
    recent: {
      listNodes: (signal) => nodes.cache.list({ freshness: 'recent' }, signal),
      getService: (name, signal) => services.cache.get(name, 'recent', signal),
      getConfig: (name, signal) => configs.cache.get(name, 'recent', signal),
    },
    async refresh(signal) {
      await configs.cache.list({ freshness: 'recent' }, signal)
      await services.cache.list({ freshness: 'recent' }, signal)
    },
    watch({ config, service }) {
      configs.store.subscribe(config)
      services.store.subscribe(service)
    },
    applyEvent({ type, action, id, name }) {
      const of = kinds[type]
      const key = type === 'node' ? id : name
      if (action === 'remove') of?.writes.removed(id)
      if (of?.writes.isEcho({ key, action, id }) === true) return false
      if (key === '') of?.cache.invalidateAll()
      else of?.cache.invalidate(key)
      if (type === 'service') tasks.invalidate(id)
      return true
    },
    invalidateConfig: configs.cache.invalidate,
    invalidateAll() {
      for (const { cache } of [services, configs, secrets, nodes]) cache.invalidateAll()
    },
    async relist(which, signal) {
      const changedNodes = await nodes.cache.relist(signal)
      const seldom = which === 'all' ? [...(await configs.cache.relist(signal)), ...(await secrets.cache.relist(signal))] : []
      // Last, so that no service is older than what it refers to.
      const changed = [...seldom, ...(await services.cache.relist(signal)), ...unannounced.objects]
      const isNode = changedNodes.length > 0 || unannounced.nodes.length > 0
      const isUnannounced = unannounced.nodes.length > 0 || unannounced.objects.length > 0
      unannounced = { nodes: [], objects: [] }
      return { vms: [...new Set(changed.flatMap(vmsOf))], nodes: isNode, unannounced: isUnannounced }
    },
    async relistTasks(signal) {
      const changed = await tasks.relist(signal)
      return changed.flatMap((id) => vmsOf({ name: services.store.keyOfId(id) ?? '', labels: {} }))
    },
  }
}

/** The VM that an object's name names and the VM that its label names: they may differ. */
function vmsOf({ name, labels }: Named): VmName[] {
  const named = name.startsWith(serviceName('')) ? name.slice(serviceName('').length) : ''
  return [named, labels[objectLabels.vm] ?? ''].filter((vm) => vmNamePattern.test(vm))
}

/** Reads of services that do not believe a manager which does not know a service that was just created here. */
function upToDateServices(raw: Swarm, writes: WriteLog): Pick<ReadThroughPorts<SwarmService>, 'list' | 'get'> {
  return {
    async list(signal) {
      const read = async () => {
        const listed = await raw.listServices(undefined, signal)
        return { listed, ids: new Set(listed.map(({ id }) => id)) }
      }
      return (await writes.upToDate(read, ({ ids }, { id = '' }) => ids.has(id))).listed
    },
    get: (key, signal) =>
      writes.upToDate(
        () => raw.getService(key, signal),
        (found, created) => found?.id === created.id || (key !== created.key && key !== created.id),
      ),
  }
}
