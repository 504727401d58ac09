import { objectLabels } from '../../api/labels.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { placementRecordName, serviceName, type VmName } from '../../api/names.ts'
import { type GuestControl, guestControl } from '../../api/wire/runner-control.ts'
import type { Agents } from '../../ports/agents.ts'
import type { Clock } from '../../ports/clock.ts'
import type { PowerVerb } from '../../api/power-verbs.ts'
import type { PowerAnswer } from '../../ports/controller-actions.ts'
import { PortError } from '../../ports/errors.ts'
import type { Log } from '../../ports/log.ts'
import type { Swarm } from '../../ports/swarm.ts'
import { type PlacementRecord, readPlacementRecords } from '../../reconcilers/shared/placement-record.ts'
import { rawObject } from '../../reconcilers/shared/raw.ts'
import { offRequest, runNotes, runWish } from '../../reconcilers/shared/run-wish.ts'
import { suspensionOf } from '../../reconcilers/shared/suspension.ts'
import { isServiceOf, ownershipOf, replicasOf } from '../../reconcilers/shared/vm-service.ts'
import type { DeclarationStore } from '../declarations/store.ts'
import { forceUpdateOf } from '../../reconcilers/services/drift.ts'

export interface PowerPorts {
  readonly swarm: Pick<Swarm, 'getConfig' | 'updateConfigLabels' | 'getService' | 'updateService'>
  readonly agents: Agents
  readonly store: Pick<DeclarationStore, 'get' | 'knows'>
  readonly clock: Clock
  readonly log: Log
  /** Adds an event to the VM. */
  readonly note: (
    vm: VmName,
    event: { readonly type: string; readonly status: string; readonly reason: string; readonly message: string },
  ) => void
  /** Reconciles the VM now. */
  readonly lookAt: (vm: VmName) => void
}

/** Why the manifest does not leave this to `docker vm`; undefined if it does. Pure. */
export function whyNotByHand(verb: 'start' | 'stop', { metadata, spec }: Pick<VirtualMachine, 'metadata' | 'spec'>): string | undefined {
  const { runStrategy } = spec
  if (runStrategy === 'Manual' || runStrategy === 'RerunOnFailure') return undefined
  const line = `the line "runStrategy: ${runStrategy}" of its manifest decides whether ${metadata.name} runs`
  const wanted = verb === 'start' ? (runStrategy === 'Once' ? undefined : 'Always') : 'Halted'
  const edit = wanted === undefined || wanted === runStrategy ? [] : [`to "runStrategy: ${wanted}" to ${verb} it now`]
  return `${line}; edit it ${[...edit, 'or to Manual to use docker vm start and stop'].join(', ')}`.replace('it or', 'it')
}

export function powerActions(ports: PowerPorts): { readonly power: (name: string, verb: PowerVerb) => Promise<PowerAnswer> } {
  return {
    async power(name, verb) {
      const { store, log, note, lookAt } = ports
      if (!store.knows(name)) return { kind: 'unknown' }
      const answer = await act(ports, name, verb)
      log.info({ vm: name, verb, answer: answer.kind }, 'Power action requested over the API')
      if (answer.kind === 'done')
        note(name, { type: 'Action', status: '', reason: eventReasons[verb], message: `${verb} was requested with docker vm` })
      lookAt(name)
      return answer
    },
  }
}

const eventReasons: Readonly<Record<PowerVerb, string>> = {
  start: 'StartRequested',
  stop: 'StopRequested',
  restart: 'RestartRequested',
  pause: 'PauseRequested',
  unpause: 'UnpauseRequested',
  reset: 'ResetRequested',
}

async function act(ports: PowerPorts, vm: VmName, verb: PowerVerb): Promise<PowerAnswer> {
  const declaration = ports.store.get(vm)
  const config = await ports.swarm.getConfig(placementRecordName(vm))
  const record = config && readPlacementRecords([config])[0]
  if (declaration.kind !== 'present' || record?.vm !== vm) return refused(`${vm} has no valid manifest, or no node yet`)
  const suspension = suspensionOf(vm, declaration, record)
  if (suspension !== undefined) return refused(`${vm} is ${suspension.message}`)
  switch (verb) {
    case 'start':
    case 'stop': {
      const why = whyNotByHand(verb, declaration.vm)
      return why === undefined ? await request(ports, declaration.vm, record, verb) : refused(why)
    }
    case 'restart':
      return restart(ports, vm, record)
    default:
      return control(ports, record, guestControl.parse(verb))
  }
}

/** A label on the record, so that it applies to every controller and survives a restart. */
async function request(
  { swarm, clock }: PowerPorts,
  machine: VirtualMachine,
  { config }: PlacementRecord,
  verb: 'start' | 'stop',
): Promise<PowerAnswer> {
  const service = await swarm.getService(serviceName(machine.metadata.name))
  const wish = runWish(machine, runNotes(config.labels, service))
  if ((wish.kind === 'on') === (verb === 'start')) return { kind: 'done', changed: false }
  if (verb === 'stop' && wish.kind === 'off') return { kind: 'done', changed: false }
  const value = verb === 'stop' ? offRequest : new Date(clock.now()).toISOString()
  await swarm.updateConfigLabels(config, { ...config.labels, [objectLabels.run]: value })
  return { kind: 'done', changed: true }
}

/** As `docker service update --force`, which the services reconciler adopts. It applies the edits that wait for a restart. */
async function restart({ swarm }: PowerPorts, vm: VmName, record: PlacementRecord): Promise<PowerAnswer> {
  const owned = ownershipOf(vm, await swarm.getService(serviceName(vm)))
  if (owned.kind !== 'ours' || !isServiceOf(record, owned)) return refused(`${vm} has no service of swarmvirt`)
  const { service } = owned
  if (replicasOf(service) === 0) return refused(`${vm} is off`)
  const TaskTemplate = { ...rawObject(service.spec['TaskTemplate']), ForceUpdate: forceUpdateOf(service) + 1 }
  await swarm.updateService(service.id, service.version, { ...service.spec, TaskTemplate })
  return { kind: 'done', changed: true }
}

async function control({ agents }: PowerPorts, { node, uid }: PlacementRecord, action: GuestControl): Promise<PowerAnswer> {
  if (node === undefined) return refused('the VM has no node yet')
  try {
    await agents.on(node).control(uid, action)
    return { kind: 'done', changed: true }
  } catch (error) {
    if (error instanceof PortError && (error.kind === 'Denied' || error.kind === 'NotFound')) return refused(error.message)
    throw error
  }
}

function refused(message: string): PowerAnswer {
  return { kind: 'refused', message }
}
