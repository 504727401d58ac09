import type { RawSpec, SwarmService } from '../../ports/swarm.ts'
import { dig, rawNumber } from '../shared/raw.ts'
import type { Context } from './context.ts'
import { type Held, judgeTemplate, unknownInputs, type Verdict } from './drift.ts'
import { whyUnfit } from './fit.ts'
import { templateHashOf } from './projection.ts'
import { keepLifecycle, renderTemplate, surroundings } from './render.ts'

/** What is to become of the template, with the reason for people. */
export type Decision =
  | {
      readonly kind: 'leave'
      readonly held: Held
      readonly pending: boolean
      /** Of a pending edit: why the node could not run the VM with it. */
      readonly unfit?: string | undefined
      readonly why: string
    }
  | {
      readonly kind: 'write'
      readonly template: RawSpec
      /** Nothing else may come to restart the VM, and this write must: a constraint that is still met starts no new task by itself. */
      readonly force: boolean
      readonly drift: string | undefined
      readonly why: string
    }

export function decide(context: Context): Decision {
  const { seen, service, inputs } = context
  const draft = draftOf(context)
  const verdict = judgeTemplate(service, seen.configs, { inputs: inputs.hash, template: hashOfTemplate(context, draft) })
  switch (verdict.kind) {
    case 'same':
      // A task starts anyway, so it starts in the form of this release, on its image and on the network of the settings.
      if (isSwitchedOn(context)) {
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
      return {
        kind: 'write',
        template: draft,
        force: false,
        drift: verdict.actual,
        why: 'the template was changed by somebody else and is put back',
      }
    case 'pending':
      return decidePending(context, verdict, draft)
  }
}

/** An edit takes hold when nothing is interrupted by it (no task wanted now, or a person restarted the VM), or when the manifest says at once. */
function decidePending(context: Context, verdict: Extract<Verdict, { kind: 'pending' }>, draft: RawSpec): Decision {
  const template = keepLifecycle(draft, context.service.spec['TaskTemplate'])
  const unfit = whyUnfit(draft, context.seen.node)
  const write = { kind: 'write', template, drift: undefined } as const
  if (replicasOf(context.service) === 0) return { ...write, force: false, why: 'the manifest changed and the VM is off' }
  if (verdict.restartedByHand) return { ...write, force: false, why: 'the manifest changed and the VM was restarted by hand' }
  // A VM that runs is not stopped for what cannot run.
  if (isToRestart(context, verdict) && unfit === undefined)
    return { ...write, force: true, why: 'the manifest changed and says updatePolicy: Restart' }
  return { kind: 'leave', held: verdict.held, pending: true, unfit, why: 'the manifest changed; it takes hold at the next restart' }
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

export function replicasOf(service: SwarmService): number {
  return rawNumber(dig(service.spec, 'Mode', 'Replicated', 'Replicas')) ?? 0
}
