import { managedBy, manifestLabels, objectLabels } from '../../api/labels.ts'
import { serviceName, type VmName, vmNamePattern } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import { rfc3339 } from '../../api/time.ts'
import type { Swarm, SwarmConfig, SwarmEvent, SwarmNode, SwarmSecret, SwarmService } from '../../ports/swarm.ts'
import { readThrough, type ReadThrough, type ReadThroughPorts } from './read-through.ts'
import { type Store, store, type StoreListener, unreadVersion } from './store.ts'
import { taskLister } from './task-lister.ts'
import { writeLog, type WriteLog, type WriteOf } from './write-log.ts'

/**
 * The Swarm behind a cache, as client-go's shared informers. Reconcilers read memory; Docker is asked for what events and writes of ours made stale,
 * for what the cache does not have, and by resyncs.
 */
export interface InformedSwarm {
  /** Reads come from the cache. An object that the cache lacks by name is asked of Docker. Every write goes to Docker. */
  readonly swarm: Swarm
  /**
   * The same reads, where an absence rests on a read of the last two seconds. For a caller that creates what is missing: Docker refuses that if the
   * object exists after all.
   */
  readonly recent: Pick<Swarm, 'listNodes' | 'getService' | 'getConfig'>
  /** Makes the cached services and configs that recent. Watchers have been called for every change when it resolves. */
  readonly refresh: (signal?: AbortSignal) => Promise<void>
  /** Calls back after each change of a cached object. */
  readonly watch: (listeners: { readonly config: StoreListener<SwarmConfig>; readonly service: StoreListener<SwarmService> }) => void
  /** Invalidates what the event names. Returns false if the event only reports a write of ours. */
  readonly applyEvent: (event: SwarmEvent) => boolean
  readonly invalidateConfig: (name: string) => void
  /** Everything is read again: events may have been lost. */
  readonly invalidateAll: () => void
  /** Lists nodes and services; `all` adds configs and secrets. Returns what changed since the last call and was not returned yet. */
  readonly relist: (kinds: 'often' | 'all', signal?: AbortSignal) => Promise<Changed>
  /** Lists all tasks. Returns the VMs whose tasks changed since the last call. */
  readonly relistTasks: (signal?: AbortSignal) => Promise<readonly VmName[]>
}

export interface Changed {
  readonly vms: readonly VmName[]
  /** A node changed: placement depends on the nodes. */
  readonly nodes: boolean
  /** Something changed that no event reported and that we did not write: the event stream may be dead. */
  readonly unannounced: boolean
}

/** Docker answers a write in milliseconds. After this time the write may have been made, or not. */
const promptMs = 200

type Cached = SwarmNode | SwarmService | SwarmConfig | SwarmSecret

/** One kind of object: its cache and our writes of it. */
interface Kind<Item extends Cached> {
  readonly store: Store<Item>
  readonly cache: ReadThrough<Item>
  readonly writes: WriteLog
}

type Reads<Item extends Cached> = Pick<ReadThroughPorts<Item>, 'list' | 'isListed' | 'get'>

export function informedSwarm(raw: Swarm, clock: Clock): InformedSwarm {
  /** Changes that no event announced, since the last `relist`. */
  let unannounced: Cached[] = []

  function kind<Item extends Cached>(reads: Reads<Item>, writes = writeLog(clock)): Kind<Item> {
    const items = store<Item>(keyOf)
    const cache = readThrough({
      store: items,
      now: () => clock.elapsed(),
      isExpected: (key) => writes.isPending(key),
      onUnannounced: (item) => void unannounced.push(item),
      ...reads,
    })
    return { store: items, cache, writes }
  }

  const serviceWrites = writeLog(clock)
  // Other people's services too: one of them may have the name of a VM's service.
  const services = kind<SwarmService>(upToDate(raw, serviceWrites), serviceWrites)
  const configs = kind<SwarmConfig>({
    list: (signal) => raw.listConfigs(ours, signal),
    isListed: isOurs,
    get: (name, signal) => raw.getConfig(name, signal),
  })
  const secrets = kind<SwarmSecret>({ list: (signal) => raw.listSecrets(ours, signal), isListed: isOurs })
  const nodes = kind<SwarmNode>({ list: (signal) => raw.listNodes(signal) })
  const kinds = { service: services, config: configs, secret: secrets, node: nodes }
  const tasks = taskLister(raw, clock)

  /** Sends a write. Until Docker answers, the object is served as it was; then it is what `result` says, or stale. */
  async function write<Item extends Cached, Answer>(
    { store: items, cache, writes }: Kind<Item>,
    what: WriteOf,
    send: () => Promise<Answer>,
    result: (answer: Answer) => Item | undefined = () => undefined,
  ): Promise<Answer> {
    const own = writes.begin(what)
    const before = items.get(what.key)
    const cancel = clock.after(promptMs, () => cache.invalidate(what.key))
    let item: Item | undefined
    try {
      const answer = await send()
      writes.succeeded(own, what.id ?? String(answer))
      item = result(answer)
      return answer
    } catch (error) {
      writes.failed(own)
      throw error
    } finally {
      cancel()
      cache.wrote(what.key, item, before)
    }
  }

  const create = (key: string) => ({ key, action: 'create', id: undefined }) as const
  const update = (key: string, id: string) => ({ key, action: 'update', id }) as const
  const created =
    <Fields extends object>(fields: Fields) =>
    (id: string) => ({ ...fields, id, version: unreadVersion, createdAt: rfc3339(clock) })

  /** A service names configs and secrets. If Docker refuses it, one of them may be gone without an event. */
  async function writeService<Answer>(what: WriteOf, send: () => Promise<Answer>): Promise<Answer> {
    try {
      // Docker may store another spec than it was given (an old leader drops fields it does not know): the service is read again.
      return await write(services, what, send)
    } catch (error) {
      configs.cache.invalidateAll()
      secrets.cache.invalidateAll()
      throw error
    }
  }

  /** Docker removes by id, without a version: the object is read first, and not removed if it changed. */
  async function remove<Item extends Cached>(of: Kind<Item>, id: string, send: () => Promise<void>, signal?: AbortSignal): Promise<void> {
    const key = of.store.keyOfId(id)
    const known = key === undefined ? undefined : of.store.get(key)
    if (known !== undefined) await of.cache.verify(known, signal)
    of.writes.removed(id)
    await send().finally(() => key !== undefined && of.cache.invalidate(key))
  }

  const swarm: Swarm = {
    listNodes: (signal) => nodes.cache.list({}, signal),
    updateNodeLabels: (node, labels, signal) => write(nodes, update(node.id, node.id), () => raw.updateNodeLabels(node, labels, signal)),
    listServices: (label, signal) => services.cache.list({ label }, signal),
    getService: (nameOrId, signal) => services.cache.get(services.store.keyOfId(nameOrId) ?? nameOrId, 'live', signal),
    async createService(spec, signal) {
      const id = await writeService(create(String(spec['Name'])), () => raw.createService(spec, signal))
      tasks.invalidate(id)
      return id
    },
    updateService(id, version, spec, signal) {
      const what = update(services.store.keyOfId(id) ?? id, id)
      return writeService(what, () => raw.updateService(id, version, spec, signal)).finally(() => tasks.invalidate(id))
    },
    removeService: (id, signal) => remove(services, id, () => raw.removeService(id, signal), signal),
    listTasks: (filter, signal) =>
      filter.serviceId !== undefined && filter.nodeId === undefined
        ? tasks.ofService(filter.serviceId, signal)
        : raw.listTasks(filter, signal),
    // Only our own are cached: an operator's manifests may be many and large, and their source reads them.
    listConfigs: (label, signal) =>
      label.startsWith(manifestLabels.manifest) ? raw.listConfigs(label, signal) : configs.cache.list({ label }, signal),
    getConfig: (name, signal) => configs.cache.get(name, 'live', signal),
    createConfig: (name, labels, data, signal) =>
      write(configs, create(name), () => raw.createConfig(name, labels, data, signal), created({ name, labels, data })),
    async updateConfigLabels(config, labels, signal) {
      const known = config.version === unreadVersion ? await configs.cache.verify(config, signal) : config
      const written = (): SwarmConfig => ({ ...known, labels, version: unreadVersion })
      await write(configs, update(known.name, known.id), () => raw.updateConfigLabels(known, labels, signal), written)
    },
    removeConfig: (id, signal) => remove(configs, id, () => raw.removeConfig(id, signal), signal),
    listSecrets: (label, signal) => secrets.cache.list({ label }, signal),
    createSecret: (name, labels, data, signal) =>
      write(secrets, create(name), () => raw.createSecret(name, labels, data, signal), created({ name, labels })),
    removeSecret: (id, signal) => remove(secrets, id, () => raw.removeSecret(id, signal), signal),
    apiVersion: (signal) => raw.apiVersion(signal),
    events: (signal) => raw.events(signal),
  }

  return {
    swarm,
    recent: {
      listNodes: (signal) => nodes.cache.list({ freshness: 'recent' }, signal),
      getService: (name, signal) => services.cache.get(name, 'recent', signal),
      getConfig: (name, signal) => configs.cache.get(name, 'recent', signal),
    },
    async refresh(signal) {
      for (const { cache } of [configs, services]) await cache.list({ freshness: 'recent' }, signal)
    },
    watch({ config, service }) {
      configs.store.subscribe(config)
      services.store.subscribe(service)
    },
    applyEvent({ type, action, id, name }) {
      if (!(type in kinds)) return true
      const { cache, writes } = kinds[type as keyof typeof kinds]
      const key = type === 'node' ? id : name
      if (action === 'remove') writes.removed(id)
      if (writes.isEcho({ key, action, id })) return false
      cache.invalidate(key)
      if (type === 'service') tasks.invalidate(id)
      return true
    },
    invalidateConfig: (name) => configs.cache.invalidate(name),
    invalidateAll() {
      for (const { cache } of Object.values(kinds)) cache.invalidateAll()
    },
    async relist(which, signal) {
      const changed: Cached[] = [...(await nodes.cache.relist(signal))]
      if (which === 'all') for (const { cache } of [configs, secrets]) changed.push(...(await cache.relist(signal)))
      // Last, so that no service is older than what it refers to.
      changed.push(...(await services.cache.relist(signal)), ...unannounced)
      const isUnannounced = unannounced.length > 0
      unannounced = []
      return { vms: [...new Set(changed.flatMap(vmsOf))], nodes: changed.some(isNode), unannounced: isUnannounced }
    },
    async relistTasks(signal) {
      const changed = await tasks.relist(signal)
      return changed.flatMap((id) => vmsOf(services.store.get(services.store.keyOfId(id) ?? '')))
    },
  }
}

const ours = `${objectLabels.managedBy}=${managedBy}`

function isOurs({ labels }: Cached): boolean {
  return labels[objectLabels.managedBy] === managedBy
}

function isNode(item: Cached): item is SwarmNode {
  return 'hostname' in item
}

function keyOf(item: Cached): string {
  return isNode(item) ? item.id : item.name
}

/** The VM that the object's name names, and the one that its label names: they may differ. */
function vmsOf(item: Cached | undefined): VmName[] {
  if (item === undefined || isNode(item)) return []
  const named = item.name.startsWith(serviceName('')) ? item.name.slice(serviceName('').length) : ''
  return [...new Set([named, item.labels[objectLabels.vm] ?? ''])].filter((vm) => vmNamePattern.test(vm))
}

/** Reads of services that throw if the manager that answered does not know a service that was just created here. */
function upToDate(raw: Swarm, writes: WriteLog): Reads<SwarmService> {
  return {
    list: (signal) =>
      writes.upToDate(
        () => raw.listServices(undefined, signal),
        (listed) => {
          const ids = new Set(listed.map(({ id }) => id))
          return ({ id = '' }) => ids.has(id)
        },
      ),
    get: (nameOrId, signal) =>
      writes.upToDate(
        () => raw.getService(nameOrId, signal),
        (found) => (created) => found?.id === created.id || (nameOrId !== created.key && nameOrId !== created.id),
      ),
  }
}
