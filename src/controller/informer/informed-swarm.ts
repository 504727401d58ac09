import { managedBy, manifestLabels, objectLabels } from '../../api/labels.ts'
import { servicePrefix, vmNameAfter, type VmName, vmNameOf } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import { rfc3339 } from '../../api/time.ts'
import type { Swarm, SwarmConfig, SwarmEvent, SwarmNode, SwarmSecret, SwarmService } from '../../ports/swarm.ts'
import { readThrough, type ReadThrough, type ReadThroughPorts } from './read-through.ts'
import { isUnread, type Store, store, type StoreListener, writtenOn } from './store.ts'
import { taskLister } from './task-lister.ts'
import { writeLog, type WriteLog, type WriteOf } from './write-log.ts'

/**
 * A cache in front of the Swarm, like client-go's shared informers. Reads are served from memory. Docker is only read for objects that an event or
 * a write of ours invalidated, for objects that are not cached, and in a resync.
 */
export interface InformedSwarm {
  /** Reads come from the cache; `get` reads an object that is not cached from Docker. Every write goes to Docker. */
  readonly swarm: Swarm
  /**
   * The same reads, but an absence may come from a read of the last two seconds. For a caller that creates missing objects: if one exists after
   * all, Docker rejects the create.
   */
  readonly recent: Pick<Swarm, 'listNodes' | 'getService' | 'getConfig'>
  /** Lists services and configs unless their last list began within two seconds. When it resolves, `watch` has reported every change. */
  readonly refresh: (signal?: AbortSignal) => Promise<void>
  /** Calls back after each change of a cached object. */
  readonly watch: (listeners: { readonly config: StoreListener<SwarmConfig>; readonly service: StoreListener<SwarmService> }) => void
  /** Invalidates the object of the event. Returns false if the event is the echo of our own write. */
  readonly applyEvent: (event: SwarmEvent) => boolean
  readonly invalidateConfig: (name: string) => void
  /** Invalidates every object, because events may have been lost. */
  readonly invalidateAll: () => void
  /** Lists nodes and services; `all` adds configs and secrets. Returns the changes since the last call. */
  readonly relist: (kinds: 'often' | 'all', signal?: AbortSignal) => Promise<Changed>
  /** Lists all tasks. Returns the VMs whose tasks changed since the last call. */
  readonly relistTasks: (signal?: AbortSignal) => Promise<readonly VmName[]>
}

export interface Changed {
  readonly vms: readonly VmName[]
  /** A node changed: placement depends on the nodes. */
  readonly nodes: boolean
  /** Another writer's change had no event, so the event stream may be dead. */
  readonly missedEvent: boolean
}

/** Docker answers a write in milliseconds. A slower one may already be applied, so reads no longer return the previous object. */
const slowWriteMs = 200

type Cached = SwarmNode | SwarmService | SwarmConfig | SwarmSecret

/** One kind of object: the stored objects, the reads through the store, and the log of our writes. */
interface Kind<Item extends Cached> {
  readonly store: Store<Item>
  readonly cache: ReadThrough<Item>
  readonly writes: WriteLog
}

type Reads<Item extends Cached> = Pick<ReadThroughPorts<Item>, 'list' | 'isListed' | 'get'>

export function informedSwarm(raw: Swarm, clock: Clock): InformedSwarm {
  /** Objects that changed without an event since the last `relist`. */
  let missed: Cached[] = []

  function kind<Item extends Cached>(reads: Reads<Item>, writes = writeLog(clock)): Kind<Item> {
    const items = store<Item>(keyOf)
    const cache = readThrough({
      store: items,
      now: () => clock.elapsed(),
      isExpected: (key) => writes.isPending(key),
      onMissed: (item) => void missed.push(item),
      ...reads,
    })
    return { store: items, cache, writes }
  }

  const serviceWrites = writeLog(clock)
  // Includes services of others: one of them may have the name of a VM's service.
  const services = kind<SwarmService>(readYourWrites(raw, serviceWrites), serviceWrites)
  const configs = kind<SwarmConfig>({
    list: (signal) => raw.listConfigs(ours, signal),
    isListed: isOurs,
    get: (name, signal) => raw.getConfig(name, signal),
  })
  const secrets = kind<SwarmSecret>({ list: (signal) => raw.listSecrets(ours, signal), isListed: isOurs })
  const nodes = kind<SwarmNode>({ list: (signal) => raw.listNodes(signal) })
  const kinds = { service: services, config: configs, secret: secrets, node: nodes }
  const tasks = taskLister(raw, clock)

  /** Sends a write. Until Docker answers, reads return the previous object. Then the cache stores `result`, or the object becomes stale. */
  async function write<Item extends Cached, Answer>(
    { store: items, cache, writes }: Kind<Item>,
    what: WriteOf,
    send: () => Promise<Answer>,
    result: (answer: Answer) => Item | undefined = () => undefined,
  ): Promise<Answer> {
    const own = writes.begin(what)
    const before = items.get(what.key)
    const cancel = clock.after(slowWriteMs, () => cache.invalidate(what.key))
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
    (id: string) => ({ ...fields, id, version: writtenOn(0), createdAt: rfc3339(clock) })

  /** A service refers to configs and secrets. If Docker rejects it, one of them may have been removed without an event. */
  async function writeService<Answer>(what: WriteOf, send: () => Promise<Answer>): Promise<Answer> {
    try {
      // Docker may store another spec (an old leader drops unknown fields), so the service is read again.
      return await write(services, what, send)
    } catch (error) {
      configs.cache.invalidateAll()
      secrets.cache.invalidateAll()
      throw error
    }
  }

  /** Docker removes by id, without a version, so the object is read first and only removed if it did not change. */
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
    // Only our own configs are cached. Manifests can be many and large, and their source reads them.
    listConfigs: (label, signal) =>
      label.startsWith(manifestLabels.manifest) ? raw.listConfigs(label, signal) : configs.cache.list({ label }, signal),
    getConfig: (name, signal) => configs.cache.get(name, 'live', signal),
    createConfig: (name, labels, data, signal) =>
      write(configs, create(name), () => raw.createConfig(name, labels, data, signal), created({ name, labels, data })),
    async updateConfigLabels(config, labels, signal) {
      const known = isUnread(config) ? await configs.cache.verify(config, signal) : config
      const written = (): SwarmConfig => ({ ...known, labels, version: writtenOn(known.version) })
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
      // Services come last, so that none is older than the objects that it refers to.
      changed.push(...(await services.cache.relist(signal)), ...missed)
      const missedEvent = missed.length > 0
      missed = []
      return { vms: [...new Set(changed.flatMap(vmsOf))], nodes: changed.some(isNode), missedEvent }
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

/** The VM in the object's name and the VM in its label, which may differ. */
function vmsOf(item: Cached | undefined): VmName[] {
  if (item === undefined || isNode(item)) return []
  const named = [vmNameAfter(servicePrefix, item.name), vmNameOf(item.labels[objectLabels.vm])]
  return [...new Set(named)].filter((vm) => vm !== undefined)
}

/** Reads of services. They throw if a service that we just created is missing from the answer. A read of another service proves nothing. */
function readYourWrites(raw: Swarm, writes: WriteLog): Reads<SwarmService> {
  return {
    list: (signal) =>
      writes.readYourWrites(
        () => raw.listServices(undefined, signal),
        (listed) => {
          const ids = new Set(listed.map(({ id }) => id))
          return ({ id = '' }) => ids.has(id)
        },
      ),
    get: (nameOrId, signal) =>
      writes.readYourWrites(
        () => raw.getService(nameOrId, signal),
        (found) => (created) => found?.id === created.id || (nameOrId !== created.key && nameOrId !== created.id),
      ),
  }
}
