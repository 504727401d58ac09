import { asListed, type NodeView, type SourcesView, type SourceView, type VmView } from '../../api/wire/controller-api.ts'
import type { ResolvedSnapshot } from '../../api/manifest/resolve-classes.ts'
import type { StatusView } from '../../ports/status-view.ts'
import type { SwarmNode } from '../../ports/swarm.ts'
import type { Changes } from './change-feed.ts'
import type { DeclarationStore } from '../declarations/store.ts'
import { blockedNames } from '../declarations/state.ts'
import type { SeenAgent } from '../informer/agent-liveness.ts'
import type { StatusStore } from './store.ts'
import type { NodeId } from '../../api/names.ts'

export interface StatusViewPorts {
  readonly store: DeclarationStore
  readonly status: StatusStore
  readonly changes: Pick<Changes, 'listen'>
  readonly nodes: () => readonly SwarmNode[]
  readonly seen: (nodeId: NodeId) => SeenAgent | undefined
  /** The parts of the first pass that are missing; empty once it is done. */
  readonly missing: () => string
}

export function statusView(ports: StatusViewPorts): StatusView {
  const { store, status } = ports
  return {
    vms: () => [...store.known()].sort().map((vm) => asListed(status.view(vm, store.get(vm)))),
    vm: (name) => (store.knows(name) ? status.view(name, store.get(name)) : undefined),
    onChange: (listener) => ports.changes.listen(listener),
    nodes: () => {
      const vms = store.known().map((vm) => status.view(vm, store.get(vm)))
      return ports
        .nodes()
        .map((node) => nodeView(node, ports.seen(node.id), notReachedFrom(node, vms)))
        .toSorted((a, b) => a.hostname.localeCompare(b.hostname))
    },
    sources: () => sourcesView(store),
    ready: () => ({ ok: ports.missing() === '', message: ports.missing() }),
  }
}

/** VMs that other nodes reach but this one does not. */
function notReachedFrom({ hostname }: SwarmNode, vms: readonly VmView[]): string[] {
  return vms.filter(({ facts }) => facts['notReachedFrom']?.split(' ').includes(hostname)).map(({ name }) => name)
}

function nodeView(node: SwarmNode, seen: SeenAgent | undefined, notReached: readonly string[]): NodeView {
  const { id, hostname, role, availability, state, labels } = node
  const factsAt = seen?.factsAtMs === undefined ? null : new Date(seen.factsAtMs).toISOString()
  const agentMessage = seen === undefined ? 'not asked yet' : seen.message
  return { id, hostname, role, availability, state, labels, facts: seen?.facts ?? null, factsAt, agentMessage, notReached }
}

function sourcesView(store: DeclarationStore): SourcesView {
  const state = store.state()
  const sources = store.snapshots().map((snapshot) => {
    const twice = state.issues.filter((issue) => issue.sources.includes(snapshot.source))
    return sourceView(
      snapshot,
      twice.map((issue) => issue.rendered),
    )
  })
  return { sources, stalled: state.stalled ?? null, withheld: blockedNames(state) }
}

/** The rest is only counted: in a large repository the first ones are enough. */
const mostIgnored = 20

function sourceView(snapshot: ResolvedSnapshot, twice: readonly string[]): SourceView {
  const machines = snapshot.documents.filter((document) => document.ok).length
  const broken = snapshot.documents.filter((document) => !document.ok)
  const others = broken.flatMap(({ origin, otherKind }) => (otherKind === undefined ? [] : [{ ...origin, kind: otherKind }]))
  const issues = broken.flatMap((document) => (document.otherKind === undefined ? document.issues.map((issue) => issue.rendered) : []))
  const warnings = snapshot.documents.flatMap((document) => document.warnings?.map((issue) => issue.rendered) ?? [])
  const { source, complete, message, revision = '', superseded = [], classes = 0 } = snapshot
  const documents = { valid: machines + classes, invalid: broken.length - others.length, ignored: others.length }
  const ignored = others.slice(0, mostIgnored).map(({ file, line, kind }) => ({ file, line, kind }))
  return { source, revision, complete, message, documents, issues: [...issues, ...twice, ...warnings], ignored, superseded }
}
