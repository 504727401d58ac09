import { hashVersion, objectLabels } from '../../api/labels.ts'
import type { Labels, SwarmConfig, SwarmService } from '../../ports/swarm.ts'
import { dig, rawNumber } from '../shared/raw.ts'
import { templateHashOf } from './projection.ts'
import { launchConfigName } from '../shared/vm-service.ts'

/** Stands for a hash of inputs that was lost. */
export const unknownInputs = 'unknown'
const unknownTemplate = 'unknown'

/** The result of comparing the running template with the labels. */
export interface Held {
  /** Hash of the inputs that the template was rendered from; `unknown` if it was lost. */
  readonly applied: string
  /** Hash of the template that we wrote. */
  readonly template: string
  /** Hash of the drifted template that was corrected last, until the template is seen unchanged. */
  readonly drift: string | undefined
}

export interface Wanted {
  /** Hash of the inputs in the current manifest. */
  readonly inputs: string
  /** Hash of the template that this release would render. */
  readonly template: string
  /** Whether a template has its capabilities, user and mounts. */
  readonly isHardenedAlike: (template: unknown) => boolean
  /** Whether the current template has more access than any release gives a VM. */
  readonly reachesMore: () => boolean
}

export type Verdict =
  /** Unchanged, and rendered from the current manifest. This release may render it differently, but that is no reason for a restart. */
  | { readonly kind: 'same'; readonly held: Held }
  /** Unchanged, but the manifest has changed since. */
  | { readonly kind: 'pending'; readonly held: Held; readonly restartedByHand: boolean }
  /** Somebody else changed it. */
  | { readonly kind: 'drifted'; readonly held: Held; readonly actual: string }
  /** Equal to the wanted template in another notation (Docker's or another controller's): only the labels are corrected. */
  | { readonly kind: 'adopt'; readonly held: Held }

/** Compares the current template with the one that was written, never with the one that this release would write. */
export function judgeTemplate(service: SwarmService, configs: readonly SwarmConfig[], wanted: Wanted): Verdict {
  const actual = templateHashOf(service.spec)
  const held = heldHashes(service, configs, wanted, actual)
  if (held.template !== actual) {
    if (wanted.template === actual) return { kind: 'adopt', held: { applied: wanted.inputs, template: actual, drift: undefined } }
    // We restored it, and it came back the same: Docker normalizes what we write. Restoring it again would restart the VM forever.
    if (held.drift === actual && isLastUpdateOurs(service))
      return { kind: 'adopt', held: { applied: held.applied, template: actual, drift: undefined } }
    return { kind: 'drifted', held, actual }
  }
  if (held.applied === wanted.inputs) return { kind: 'same', held: { ...held, drift: undefined } }
  return { kind: 'pending', held: { ...held, drift: undefined }, restartedByHand: restartedByHand(service) }
}

/** Our restoring update changes this label; a user's update keeps it. */
function isLastUpdateOurs({ labels, previousSpec }: SwarmService): boolean {
  const mark = labels[objectLabels.driftVersion]
  return mark !== undefined && previousSpec !== undefined && dig(previousSpec, 'Labels', objectLabels.driftVersion) !== mark
}

function heldHashes(service: SwarmService, configs: readonly SwarmConfig[], wanted: Wanted, actual: string): Held {
  const { labels } = service
  const own = hashesIn(labels)
  const version = labels[objectLabels.hashVersion]
  if (version !== undefined && version !== hashVersion) return rehashed(labels, wanted, wanted.reachesMore() ? unknownTemplate : actual)
  if (own.applied !== undefined && own.template !== undefined) return { applied: own.applied, template: own.template, drift: own.drift }
  if (actual === wanted.template) return { applied: wanted.inputs, template: actual, drift: undefined }
  const launch = configs.find((one) => one.name === launchConfigName(service))
  const noted = hashesIn(launch?.labels ?? {})
  // Without a hash that we wrote, a template counts as ours only if it has the same access as ours.
  const unproven = wanted.isHardenedAlike(service.spec['TaskTemplate']) ? actual : unknownTemplate
  return { applied: own.applied ?? noted.applied ?? unknownInputs, template: own.template ?? noted.template ?? unproven, drift: own.drift }
}

/**
 * Hashes of another version cannot be compared: the running template counts as unchanged, and a pending edit stays pending. Another
 * release may have other mounts and another user, so only excess access counts as drift.
 */
function rehashed(labels: Labels, wanted: Wanted, template: string): Held {
  const applied = labels[objectLabels.appliedHash]
  const upToDate = applied !== undefined && applied === labels[objectLabels.desiredHash]
  return { applied: upToDate ? wanted.inputs : (applied ?? unknownInputs), template, drift: undefined }
}

function hashesIn(labels: Labels): { applied: string | undefined; template: string | undefined; drift: string | undefined } {
  return { applied: labels[objectLabels.appliedHash], template: labels[objectLabels.templateHash], drift: labels[objectLabels.driftHash] }
}

export function forceUpdateOf(service: SwarmService): number {
  return rawNumber(dig(service.spec, 'TaskTemplate', 'ForceUpdate')) ?? 0
}

/** True after `docker service update --force` since the last reconcile. */
function restartedByHand(service: SwarmService): boolean {
  const noted = service.labels[objectLabels.forceUpdate]
  return noted !== undefined && forceUpdateOf(service) > Number(noted)
}
