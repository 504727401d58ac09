import type { Command } from 'commander'
import { type PowerVerb, powerVerbs } from '../../api/power-verbs.ts'
import type { ControllerApi } from '../../ports/controller-api.ts'
import { type Answer, eachName, unknownVm } from './each-name.ts'
import type { ClusterPorts, Verb } from './verbs.ts'

const descriptions: Readonly<Record<PowerVerb, string>> = {
  start: 'start VMs whose manifest says runStrategy: Manual or RerunOnFailure',
  stop: 'shut VMs down whose manifest says runStrategy: Manual or RerunOnFailure; their disks are kept',
  restart: 'shut VMs down and start them again; applies the edits that wait for a restart',
  pause: 'stop the processors of guests; a paused guest keeps its memory until its task ends',
  unpause: 'let paused guests run again',
  reset: 'press the reset button of guests, which lose what they have not written to disk',
}

const done: Readonly<Record<PowerVerb, string>> = {
  start: 'start requested',
  stop: 'stop requested',
  restart: 'restart requested',
  pause: 'paused',
  unpause: 'unpaused',
  reset: 'reset',
}

/** `start`, `stop`, `restart`, `pause`, `unpause` and `reset`. */
export function addPowerVerbs(vm: Command, ports: Pick<ClusterPorts, 'connect'>, verb: Verb): void {
  for (const name of powerVerbs) {
    vm.command(name)
      .description(descriptions[name])
      .argument('<name...>', 'names of VMs')
      .action(verb((names: readonly string[]) => eachName(ports, names, (api, one) => power(api, one, name))))
  }
}

async function power(api: ControllerApi, name: string, verb: PowerVerb): Promise<Answer> {
  const answer = await api.power(name, verb)
  switch (answer.kind) {
    case 'done':
      return { said: answer.changed ? `${name} ${done[verb]}` : `${name} unchanged (${verb === 'start' ? 'started' : 'stopped'} already)` }
    case 'unknown':
      return unknownVm(name)
    case 'refused':
      return { error: answer.message }
    default:
      return answer satisfies never
  }
}
