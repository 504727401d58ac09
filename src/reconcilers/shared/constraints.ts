import { nodeLabels } from '../../api/labels.ts'
import { memoised } from '../../api/memoised.ts'
import type { RawSpec, SwarmNode, SwarmService } from '../../ports/swarm.ts'
import { dig, rawList, rawObject } from './raw.ts'

/** A constraint `KEY==VALUE`, such as `node.id==ID`. */
interface Constraint {
  readonly key: string
  readonly value: string
}

export interface LabelConstraint {
  readonly label: string
  readonly value: string
}

const nodeId = 'node.id'
const labelPrefix = 'node.labels.'

/** All constraints of a VM's service: they pin it to the node that has its disk (ADR 0026). */
export function placementConstraints(node: string): readonly string[] {
  return [`${nodeId}==${node}`, `${labelPrefix}${nodeLabels.vmCapable}==true`]
}

/** The template with exactly these constraints; returns the same object if nothing changes. */
export function pinnedToNode(template: RawSpec, node: string): RawSpec {
  const wanted = placementConstraints(node)
  const actual = textsIn(template).map((one) => one.replaceAll(/\s+/g, ''))
  if (actual.toSorted().join(' ') === wanted.toSorted().join(' ')) return template
  return { ...template, Placement: { ...rawObject(template['Placement']), Constraints: wanted } }
}

/** The ID of the node that the template names. */
export function nodeIdIn({ spec }: Pick<SwarmService, 'spec'>): string | undefined {
  return constraintsOf(spec).find(({ key }) => key === nodeId)?.value
}

/** The `node.labels.X==Y` constraints of a service's current spec. Swarm enforces them on running tasks too. */
export function labelConstraints({ spec }: Pick<SwarmService, 'spec'>): readonly LabelConstraint[] {
  return labelsOf(spec)
}

/** The service can run on this node only: it names the node, or the per-VM label of earlier releases. */
export function isPinnedTo(service: Pick<SwarmService, 'spec'>, node: SwarmNode): boolean {
  const id = nodeIdIn(service)
  if (id !== undefined) return id === node.id
  const former = labelConstraints(service).filter(({ label }) => label.startsWith(nodeLabels.formerVmPrefix))
  return former.length > 0 && former.every((one) => isMet(one, node))
}

/** Swarm compares values without case. */
export function isMet({ label, value }: LabelConstraint, { labels }: Pick<SwarmNode, 'labels'>): boolean {
  return labels[label]?.toLowerCase() === value.toLowerCase()
}

/** Cached by the spec, because each reconcile of a node reads the constraints of all services. */
const constraintsOf = memoised((spec: RawSpec): readonly Constraint[] =>
  textsIn(rawObject(spec['TaskTemplate'])).flatMap((text) => {
    const match = /^\s*(node\.[^\s=!]+)\s*==\s*(.*?)\s*$/.exec(text)
    return match?.[1] === undefined || match[2] === undefined ? [] : [{ key: match[1], value: match[2] }]
  }),
)

const labelsOf = memoised((spec: RawSpec): readonly LabelConstraint[] =>
  constraintsOf(spec).flatMap(({ key, value }) => (key.startsWith(labelPrefix) ? [{ label: key.slice(labelPrefix.length), value }] : [])),
)

function textsIn(template: RawSpec): readonly string[] {
  return rawList(dig(template, 'Placement', 'Constraints')).filter((one) => typeof one === 'string')
}
