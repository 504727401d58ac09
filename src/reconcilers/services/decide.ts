import type { RawSpec } from '../../ports/swarm.ts'
import { heldToNode } from '../shared/constraints.ts'
import { rawObject } from '../shared/raw.ts'
import { replicasOf } from '../shared/vm-service.ts'
import { confined, reachesMore } from './confine.ts'
import type { Context } from './context.ts'
import { asWritten } from './changed-fields.ts'
import { type Held, judgeTemplate, unknownInputs, type Verdict } from './drift.ts'
import { whyElsewhere, whyNoRoom, whyNotAgain, whyUnfit, whyUnprepared } from './fit.ts'
import { hardeningOf, templateHashOf } from './projection.ts'
import { keepLifecycle, renderTemplate, surroundings } from './render.ts'

/** What is to become of the template, with the reason for people. */
export type Decision =
  | {
      readonly kind: 'leave'
      readonly held: Held
      readonly pending: boolean
      /** Why the node could not run the VM as its manifest has it now. */
      readonly unfit?: string | undefined
      readonly why: string
    }
  | {
      readonly kind: 'write'
      readonly template: RawSpec
      /** Nothing else may come to restart the VM, and this write must. */
      readonly force: boolean
      readonly drift: string | undefined
      readonly why: string
    }
  /** A template of ours in place of one that somebody changed: the manifest's own would not start. */
  | { readonly kind: 'restore'; readonly template: RawSpec; readonly held: Held; readonly unfit: string; readonly why: string }

export function decide(context: Context): Decision {
  const { seen, service, inputs } = context
  const draft = draftOf(context)
  const verdict = judgeTemplate(service, seen.configs, {
    inputs: inputs.hash,
    template: hashOfTemplate(context, draft),
    hardening: hardeningOf(draft),
    reachesMore: reaches(context),
  })
  switch (verdict.kind) {
    case 'same':
      // A task starts anyway, so it starts in the form of this release, on its image and on the network of the settings.
      if (isSwitchedOn(context) && whyNotWritten(context, draft) === undefined) {
        const template = keepLifecycle(draft, service.spec['TaskTemplate'])
        return { kind: 'write', template, force: false, drift: undefined, why: 'the VM is switched on' }
      }
      return { kind: 'leave', held: verdict.held, pending: false, why: 'labels, replicas or update policy were changed' }
    case 'adopt':
      return {
        kind: 'leave',
        held: verdict.held,
        pending: verdict.held.applied !== inputs.hash,
        why: 'the template is what was asked for, written otherwise',
      }
    case 'drifted':
      return decideDrifted(context, verdict, draft)
    case 'pending':
      return decidePending(context, verdict, draft)
  }
}

function decideDrifted(context: Context, { held, actual }: Extract<Verdict, { kind: 'drifted' }>, draft: RawSpec): Decision {
  const why = 'the template was changed by somebody else and is put back'
  const unfit = whyNotWritten(context, draft)
  if (unfit === undefined) return { kind: 'write', template: draft, force: false, drift: actual, why }
  const own = ownTemplate(context, draft)
  if (own !== undefined && (reaches(context) || canStartAgain(context)))
    return { kind: 'restore', template: own.template, held: { ...held, template: own.hash ?? held.template, drift: actual }, unfit, why }
  const stays = `${unfit}; until then the template that somebody changed is left as it is`
  return { kind: 'leave', held, pending: true, unfit: stays, why: 'the template was changed by somebody else' }
}

/** The template that was written before, or else what somebody made of it in our form, which does not count as written; undefined where it has that form. */
function ownTemplate(context: Context, draft: RawSpec): { readonly template: RawSpec; readonly hash?: string } | undefined {
  const { service, seen, render } = context
  const written = asWritten(service)
  const before = written && heldToNode(rawObject(written['TaskTemplate']), render.node)
  if (before !== undefined && whyUnfit(before, seen.node) === undefined)
    return { template: before, hash: templateHashOf(before, written?.['EndpointSpec']) }
  const template = confined(service.spec['TaskTemplate'], draft)
  const isSame = hashOfTemplate(context, template) === templateHashOf(service.spec['TaskTemplate'], service.spec['EndpointSpec'])
  return isSame ? undefined : { template }
}

/** A task that reaches more than a VM may is replaced even where no new one can start. */
function reaches({ service, uid, seen }: Context): boolean {
  return reachesMore(service.spec['TaskTemplate'], uid, seen.settings.stateRoot)
}

function canStartAgain({ seen }: Context): boolean {
  return seen.node !== undefined && whyNotAgain(seen) === undefined
}

/** An edit takes hold when nothing is interrupted by it (no task wanted now, or a person restarted the VM), or when the manifest says at once. */
function decidePending(context: Context, verdict: Extract<Verdict, { kind: 'pending' }>, draft: RawSpec): Decision {
  const template = keepLifecycle(draft, context.service.spec['TaskTemplate'])
  const unfit = whyElsewhere(context.seen) ?? whyNotWritten(context, draft)
  const write = { kind: 'write', template, drift: undefined } as const
  const wait = 'the manifest changed; it takes hold at the next restart'
  // A VM that runs, or that could start again, is not stopped for what cannot run.
  if (unfit !== undefined) return { kind: 'leave', held: verdict.held, pending: true, unfit, why: wait }
  if (replicasOf(context.service) === 0) return { ...write, force: false, why: 'the manifest changed and the VM is off' }
  if (verdict.restartedByHand) return { ...write, force: false, why: 'the manifest changed and the VM was restarted by hand' }
  if (isToRestart(context, verdict)) return { ...write, force: true, why: 'the manifest changed and says updatePolicy: Restart' }
  return { kind: 'leave', held: verdict.held, pending: true, why: wait }
}

/** The one gate before a template is written for a service that is there. */
function whyNotWritten({ seen, check, service }: Context, draft: RawSpec): string | undefined {
  const unfit = replicasOf(service) === 0 ? whyNoRoom : whyUnfit
  return whyNotAgain(seen) ?? unfit(draft, seen.node, seen.roomBytes) ?? whyUnprepared(seen, check)
}

/** Where the notes of what runs were lost, only a difference that can be seen is an edit. */
function isToRestart({ updatePolicy, edits }: Context, { held }: Extract<Verdict, { kind: 'pending' }>): boolean {
  return updatePolicy === 'Restart' && (held.applied !== unknownInputs || (edits ?? []).length > 0)
}

/** The template without ids of its objects, which no hash looks at. */
function draftOf({ render }: Context): RawSpec {
  return renderTemplate({ ...render, ids: { launch: '', userData: '' } })
}

export function hashOfTemplate({ replicas }: Context, template: RawSpec): string {
  return templateHashOf(template, surroundings(replicas)['EndpointSpec'])
}

function isSwitchedOn({ service, replicas }: Context): boolean {
  return replicasOf(service) === 0 && replicas > 0
}
