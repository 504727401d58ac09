import type { RawSpec } from '../../ports/swarm.ts'
import { launchOf, portsIn } from '../shared/applied.ts'
import { pinnedToNode } from '../shared/constraints.ts'
import { rawObject } from '../shared/raw.ts'
import { replicasOf } from '../shared/vm-service.ts'
import { confined, reachesMore } from './confine.ts'
import type { Context } from './context.ts'
import { asWritten } from './changed-fields.ts'
import { type Held, judgeTemplate, unknownInputs, type Verdict } from './drift.ts'
import { whyElsewhere, whyNoRoom, whyNotAgain, whyUnfit, whyUnprepared } from './fit.ts'
import { hardeningOf, templateHashOf } from './projection.ts'
import { keepLifecycle, renderedHash, surroundings } from './render.ts'

/** The next step for the template; `why` is shown to users. */
export type Decision =
  | {
      readonly kind: 'leave'
      readonly held: Held
      readonly pending: boolean
      /** Why the node could not run the VM with its current manifest. */
      readonly unfit?: string | undefined
      readonly why: string
    }
  | {
      readonly kind: 'write'
      readonly template: RawSpec
      /** The write must restart the VM even if the template does not change. */
      readonly force: boolean
      readonly drift: string | undefined
      readonly why: string
    }
  /** Replaces a drifted template with one of ours that can start; the manifest's own could not. */
  | {
      readonly kind: 'restore'
      readonly template: RawSpec
      readonly endpoint: RawSpec
      readonly held: Held
      readonly unfit: string
      readonly why: string
    }

export function decide(context: Context): Decision {
  const { seen, service, draft, inputs } = context
  const verdict = judgeTemplate(service, seen.configs, {
    inputs: context.wantedHash,
    template: renderedHash(draft, inputs.ports),
    isHardenedAlike: (template) => hardeningOf(template) === hardeningOf(draft),
    reachesMore: () => reaches(context),
  })
  switch (verdict.kind) {
    case 'same':
      // A task starts anyway, so render it with this release's template, image and network.
      if (isSwitchedOn(context) && whyNotWritten(context) === undefined) {
        const template = keepLifecycle(draft, service.spec['TaskTemplate'])
        return { kind: 'write', template, force: false, drift: undefined, why: 'the VM is switched on' }
      }
      return { kind: 'leave', held: verdict.held, pending: false, why: 'labels, replicas or update policy were changed' }
    case 'adopt':
      return {
        kind: 'leave',
        held: verdict.held,
        pending: verdict.held.applied !== context.wantedHash,
        why: 'the template differs from the manifest only in notation',
      }
    case 'drifted':
      return decideDrifted(context, verdict)
    case 'pending':
      return decidePending(context, verdict)
  }
}

function decideDrifted(context: Context, { held, actual }: Extract<Verdict, { kind: 'drifted' }>): Decision {
  const why = 'somebody else changed the template; restored'
  const unfit = whyNotWritten(context)
  if (unfit === undefined) return { kind: 'write', template: context.draft, force: false, drift: actual, why }
  const own = ownTemplate(context)
  if (own !== undefined && (reaches(context) || canStartAgain(context))) {
    const { template, endpoint } = own
    return { kind: 'restore', template, endpoint, held: { ...held, template: own.hash ?? held.template, drift: actual }, unfit, why }
  }
  const stays = `${unfit}; until then the changed template stays`
  return { kind: 'leave', held, pending: true, unfit: stays, why: 'somebody else changed the template' }
}

/**
 * The last template that we wrote, if the node can run it. Otherwise the changed one, confined, without a hash because we never wrote it;
 * undefined if it already is confined.
 */
function ownTemplate({ service, seen, node, draft }: Context): OwnTemplate | undefined {
  const written = asWritten(service)
  if (written !== undefined && node !== undefined) {
    const template = pinnedToNode(rawObject(written['TaskTemplate']), node)
    const endpoint = rawObject(written['EndpointSpec'])
    if (whyUnfit(template, seen.node) === undefined)
      return { template, endpoint, hash: templateHashOf({ ...written, TaskTemplate: template }) }
  }
  const template = confined(service.spec['TaskTemplate'], draft)
  const launch = launchOf(service, seen.configs)
  const { EndpointSpec } = surroundings(1, launch === undefined ? [] : portsIn(launch))
  const isSame = templateHashOf({ TaskTemplate: template, EndpointSpec }) === templateHashOf(service.spec)
  return isSame ? undefined : { template, endpoint: rawObject(EndpointSpec) }
}

interface OwnTemplate {
  readonly template: RawSpec
  readonly endpoint: RawSpec
  /** Undefined if we never wrote it. */
  readonly hash?: string
}

/** A task with more access than a VM may have is replaced even if no new one can start. */
function reaches({ service, uid, seen }: Context): boolean {
  return reachesMore(service.spec['TaskTemplate'], uid, seen.settings.stateRoot)
}

function canStartAgain({ seen }: Context): boolean {
  return seen.node !== undefined && whyNotAgain(seen) === undefined
}

/** Applies an edit when that interrupts nothing (the VM is off, or a user restarted it), or when the manifest says updatePolicy: Restart. */
function decidePending(context: Context, verdict: Extract<Verdict, { kind: 'pending' }>): Decision {
  const template = keepLifecycle(context.draft, context.service.spec['TaskTemplate'])
  const unfit = whyElsewhere(context.seen) ?? whyNotWritten(context)
  const write = { kind: 'write', template, drift: undefined } as const
  const wait = 'the manifest changed; it applies at the next restart'
  // Never stop a VM for a template that could not start.
  if (unfit !== undefined) return { kind: 'leave', held: verdict.held, pending: true, unfit, why: wait }
  if (replicasOf(context.service) === 0) return { ...write, force: false, why: 'the manifest changed and the VM is off' }
  if (verdict.restartedByHand) return { ...write, force: false, why: 'the manifest changed and the VM was restarted manually' }
  if (isToRestart(context, verdict)) return { ...write, force: true, why: 'the manifest changed and says updatePolicy: Restart' }
  return { kind: 'leave', held: verdict.held, pending: true, why: wait }
}

/** Every write of a template to an existing service passes this check. */
function whyNotWritten({ seen, check, service, draft }: Context): string | undefined {
  const unfit = replicasOf(service) === 0 ? whyNoRoom : whyUnfit
  return whyNotAgain(seen) ?? unfit(draft, seen.node, seen.roomBytes) ?? whyUnprepared(seen, check) ?? seen.portConflict
}

/** If the applied hash was lost, only a visible difference counts as an edit. */
function isToRestart({ updatePolicy, edits }: Context, { held }: Extract<Verdict, { kind: 'pending' }>): boolean {
  return updatePolicy === 'Restart' && (held.applied !== unknownInputs || (edits ?? []).length > 0)
}

function isSwitchedOn({ service, replicas }: Context): boolean {
  return replicasOf(service) === 0 && replicas > 0
}
