import type { Command } from 'commander'
import type { ControllerApi } from '../../ports/controller-api.ts'
import { type Answer, eachName, type Tell, unknownVm } from './each-name.ts'
import type { ClusterPorts, Verb } from './verbs.ts'

/** `suspend`, `resume` and `reconcile` control whether and when the control loop works on a VM. */
export function suspendVerbs(vm: Command, ports: Pick<ClusterPorts, 'connect'>, verb: Verb): void {
  const each = (tell: Tell) => verb((names: readonly string[]) => eachName(ports, names, tell))
  vm.command('suspend')
    .description('stop changes to VMs until they are resumed; their status stays up to date')
    .argument('<name...>', 'names of VMs')
    .action(each((api, name) => suspension(api, name, 'suspend')))
  vm.command('resume')
    .description('let the controller manage the VM again')
    .argument('<name...>', 'names of VMs')
    .action(each((api, name) => suspension(api, name, 'resume')))
  vm.command('reconcile')
    .description('request a reconcile now; does not wait for the result')
    .argument('<name...>', 'names of VMs')
    .action(each(async (api, name) => ((await api.reconcile(name)) ? { said: `${name} reconcile requested` } : unknownVm(name))))
}

async function suspension(api: ControllerApi, name: string, verb: 'suspend' | 'resume'): Promise<Answer> {
  const answer = await api[verb](name)
  switch (answer.kind) {
    case 'done': {
      const state = verb === 'suspend' ? 'suspended' : 'resumed'
      return { said: `${name} ${answer.changed ? state : `unchanged (${verb === 'suspend' ? 'suspended already' : 'not suspended'})`}` }
    }
    case 'unknown':
      return unknownVm(name)
    case 'refused':
      return { error: answer.message }
    default:
      return answer satisfies never
  }
}
