import type { VmName } from '../../api/names.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Log } from '../../ports/log.ts'
import type { SwarmNode } from '../../ports/swarm.ts'
import type { DeclarationStore } from '../declarations/store.ts'
import type { Affected } from '../informer/event-to-keys.ts'
import type { Changed, InformedSwarm } from '../informer/informed-swarm.ts'
import { areNodesDifferent } from '../informer/node-changes.ts'
import { rotation } from '../informer/rotation.ts'
import { type Loops, taskReaders, type VmOwner, vmOwners, writers } from './loops.ts'

/** Nodes are requeued at every sixth resync only: they requeue themselves, and each run lists tasks. */
const nodesEvery = 6

export interface RequeuePorts {
  readonly loops: Loops
  readonly informed: Pick<InformedSwarm, 'swarm' | 'invalidateAll'>
  readonly log: Log
  readonly store: Pick<DeclarationStore, 'known' | 'knows'>
  readonly onManifests: () => void
  readonly onLease: () => void
}

/** Decides which keys run again after an event, a resync, a result or a user's command. */
export interface Requeue {
  /** A VM was declared for the first time or with an edit. */
  readonly declared: (vm: VmName) => void
  /** Tasks of these VMs changed, which assets do not depend on. */
  readonly tasks: (vms: readonly VmName[]) => void
  /** A user requests it: invalidates everything cached and ignores backoff. */
  readonly now: (vm: VmName) => void
  readonly onAffected: (affected: Affected) => void
  /** The event stream had a gap, so events may be missing. */
  readonly onGap: () => void
  /** A reconciler wrote something for a VM. */
  readonly onWrite: (owner: VmOwner, vm: VmName) => void
  readonly onNodeWrite: () => void
  readonly newTask: (vm: VmName) => void
  /**
   * After a resync with these nodes. Requeues what changed without an event, and a few other VMs in turn, so that everything is reconciled again
   * eventually. With `isBack`, the previous resync failed.
   */
  readonly onSnapshot: (nodes: readonly SwarmNode[], changed: Changed, isBack: boolean) => void
  /** Keys in backoff run now. */
  readonly wakeAll: () => void
}

export function requeue({ loops, informed, log, store, onManifests, onLease }: RequeuePorts): Requeue {
  const inTurn = rotation<VmName>()
  let resyncs = 0
  /** The nodes of the last snapshot; undefined before the first one. */
  let nodes: readonly SwarmNode[] | undefined
  let compared: readonly SwarmNode[] | undefined

  function vm(name: VmName): void {
    for (const owner of vmOwners) loops.vms[owner].queue.add(name)
  }

  function known(names: readonly VmName[]): void {
    for (const name of names) if (store.knows(name)) vm(name)
  }

  function allNodes(): void {
    for (const { id } of nodes ?? []) loops.nodes.queue.add(id)
  }

  /** An event of an unknown node queues no run. */
  function takeNodes(listed: readonly SwarmNode[]): void {
    const earlier = new Set(nodes?.map(({ id }) => id))
    nodes = listed
    for (const { id } of listed) if (!earlier.has(id)) loops.nodes.queue.add(id)
    if (earlier.size !== listed.length) log.info({ nodes: listed.map(({ hostname }) => hostname) }, 'Nodes')
  }

  /** Requeues all VMs if the nodes changed since the last call. */
  async function affectedByNodes(): Promise<void> {
    if (await haveNodesChanged()) store.known().forEach(vm)
  }

  async function haveNodesChanged(): Promise<boolean> {
    try {
      const listed = await informed.swarm.listNodes()
      const isOther = areNodesDifferent(compared, listed)
      compared = listed
      return isOther
    } catch (error) {
      log.debug({ reason: messageOf(error) }, 'The nodes cannot be listed')
      return true
    }
  }

  // Keys in backoff stay there: a resync is no reason to try sooner.
  function resyncNodes(): void {
    for (const { id } of nodes ?? []) if (!loops.nodes.queue.inBackoff(id)) loops.nodes.queue.add(id)
  }

  function resyncVms(names: readonly VmName[]): void {
    for (const name of names) {
      for (const { queue } of Object.values(loops.vms)) if (!queue.inBackoff(name)) queue.add(name)
    }
  }

  function resyncAll(): void {
    resyncNodes()
    resyncVms(store.known())
  }

  function resyncSome(changed: Changed): void {
    known(changed.vms)
    if (changed.nodes) return resyncAll()
    resyncVms(inTurn(store.known()))
    if (resyncs % nodesEvery === 0) resyncNodes()
    resyncs += 1
  }

  function wakeAll(): void {
    for (const { queue } of [loops.nodes, ...Object.values(loops.vms)]) queue.wake()
  }

  return {
    declared(name) {
      loops.declared(name)
      vm(name)
    },
    tasks(names) {
      for (const owner of taskReaders) for (const name of names) if (store.knows(name)) loops.vms[owner].queue.add(name)
    },
    now(name) {
      informed.invalidateAll()
      for (const owner of vmOwners) loops.vms[owner].queue.forget(name)
      vm(name)
    },
    onAffected(affected) {
      switch (affected.kind) {
        case 'lease':
          return onLease()
        case 'vm':
          return vm(affected.vm)
        case 'manifests':
          return onManifests()
        case 'nodes':
          allNodes()
          return void affectedByNodes()
        case 'none':
          return undefined
        default:
          return affected satisfies never
      }
    },
    onGap() {
      informed.invalidateAll()
      resyncAll()
    },
    onWrite(owner, name) {
      // Reachability follows from the task; a new one requeues it.
      for (const other of writers) if (other !== owner) loops.vms[other].queue.add(name)
    },
    onNodeWrite: () => void affectedByNodes(),
    newTask: (name) => loops.vms.reachability.queue.add(name),
    onSnapshot(listed, changed, isBack) {
      const isFirst = nodes === undefined
      takeNodes(listed)
      // The first snapshot requeues everything.
      compared ??= listed
      if (isBack) wakeAll()
      if (isBack || isFirst) resyncAll()
      else resyncSome(changed)
    },
    wakeAll,
  }
}
