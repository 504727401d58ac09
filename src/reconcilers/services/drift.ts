import { hashVersion, objectLabels } from '../../api/labels.ts'
import type { Labels, SwarmConfig, SwarmService } from '../../ports/swarm.ts'
import { dig, rawNumber } from '../shared/raw.ts'
import { hardeningOf, templateHashOf } from './projection.ts'
import { launchConfigName } from '../shared/vm-service.ts'

/** In place of the hash of inputs that nobody can tell any more. */
export const unknownInputs = 'unknown'
const unknownTemplate = 'unknown'

/** What is known of how the running template came to be. */
export interface Held {
  /** Of the inputs the template was rendered from; `unknown` where nobody can say any more. */
  readonly applied: string
  /** Of the template as it was written. */
  readonly template: string
  /** Of the changed template that was put back last, until the template was seen unchanged. */
  readonly drift: string | undefined
}

export interface Wanted {
  /** Of the inputs as the manifest has them now. */
  readonly inputs: string
  /** Of the template as it would be rendered now. */
  readonly template: string
  /** Its capabilities, user and mounts. */
  readonly hardening: string
  /** The present template reaches more than any release lets a VM reach. */
  readonly reachesMore: boolean
}

export type Verdict =
  /** As it was written, from what the manifest says. A newer release may render it otherwise: that is no reason to restart a VM. */
  | { readonly kind: 'same'; readonly held: Held }
  /** As it was written, and the manifest has changed since. */
  | { readonly kind: 'pending'; readonly held: Held; readonly restartedByHand: boolean }
  /** Somebody else changed it. */
  | { readonly kind: 'drifted'; readonly held: Held; readonly actual: string }
  /** Another way of writing what was asked for (Docker's, or another controller's): only the labels are corrected. */
  | { readonly kind: 'adopt'; readonly held: Held }

/** Compares the template as it is with how it was written, never with how it would be written today. */
export function judgeTemplate(service: SwarmService, configs: readonly SwarmConfig[], wanted: Wanted): Verdict {
  const actual = templateHashOf(service.spec['TaskTemplate'], service.spec['EndpointSpec'])
  const held = heldHashes(service, configs, wanted, actual)
  if (held.template !== actual) {
    if (wanted.template === actual) return { kind: 'adopt', held: { applied: wanted.inputs, template: actual, drift: undefined } }
    // It was put back, and came out the same again: Docker reads what is written in its own way. Once more would restart the VM for ever.
    if (held.drift === actual && isLastUpdateOurs(service))
      return { kind: 'adopt', held: { applied: held.applied, template: actual, drift: undefined } }
    return { kind: 'drifted', held, actual }
  }
  if (held.applied === wanted.inputs) return { kind: 'same', held: { ...held, drift: undefined } }
  return { kind: 'pending', held: { ...held, drift: undefined }, restartedByHand: restartedByHand(service) }
}

/** A person's update keeps the label that a restoring update of ours has changed. */
function isLastUpdateOurs({ labels, previousSpec }: SwarmService): boolean {
  const mark = labels[objectLabels.driftVersion]
  return mark !== undefined && previousSpec !== undefined && dig(previousSpec, 'Labels', objectLabels.driftVersion) !== mark
}

function heldHashes(service: SwarmService, configs: readonly SwarmConfig[], wanted: Wanted, actual: string): Held {
  const { labels } = service
  const own = hashesIn(labels)
  const version = labels[objectLabels.hashVersion]
  // Without a hash that we wrote, a template counts as ours only where it may reach no more than ours.
  const unproven = hardeningOf(service.spec['TaskTemplate']) === wanted.hardening ? actual : unknownTemplate
  if (version !== undefined && version !== hashVersion) return rehashed(labels, wanted, wanted.reachesMore ? unknownTemplate : actual)
  if (own.applied !== undefined && own.template !== undefined) return { applied: own.applied, template: own.template, drift: own.drift }
  if (actual === wanted.template) return { applied: wanted.inputs, template: actual, drift: undefined }
  const launch = configs.find((one) => one.name === launchConfigName(service))
  const noted = hashesIn(launch?.labels ?? {})
  return { applied: own.applied ?? noted.applied ?? unknownInputs, template: own.template ?? noted.template ?? unproven, drift: own.drift }
}

/**
 * Hashes of another version cannot be compared: what ran is taken as it is, and an edit that was pending stays pending. Another release may have other
 * mounts and another user, so what counts is that they reach no more.
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

/** `docker service update --force` since we last looked. */
function restartedByHand(service: SwarmService): boolean {
  const noted = service.labels[objectLabels.forceUpdate]
  return noted !== undefined && forceUpdateOf(service) > Number(noted)
}
