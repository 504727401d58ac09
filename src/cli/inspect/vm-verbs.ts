import type { Command } from 'commander'
import { parseDuration } from '../../api/duration.ts'
import type { VmView } from '../../api/wire/controller-api.ts'
import type { ClusterPorts, Verb } from './verbs.ts'
import { done, type Outcome, printable, UsageError } from '../output/outcome.ts'

/** What the verbs that tell of the loop need beyond the controller. */
export interface LoopVerbPorts extends ClusterPorts {
  /** Aborted after so many milliseconds. */
  readonly after: (ms: number) => AbortSignal
}

/** `describe`, `why`, `wait` and `events`: what the control loop knows, said to people. */
export function loopVerbs(vm: Command, ports: LoopVerbPorts, verb: Verb): void {
  vm.command('describe')
    .description('all that is known of VMs: conditions, the seconds of each step, events')
    .argument('<name...>', 'names of VMs')
    .action(verb((names: readonly string[]) => eachVm(ports, names, describe)))
  vm.command('why')
    .description('the one reason why a VM is not as its manifest says, and what to type next')
    .argument('<name...>', 'names of VMs')
    .action(verb((names: readonly string[]) => eachVm(ports, names, reason)))
  vm.command('wait')
    .description('wait until VMs are as wanted; exit code 1 where the time is over first')
    .argument('<name...>', 'names of VMs')
    .option('--for <what>', 'condition=TYPE[=STATUS], phase=PHASE or delete', 'condition=Ready')
    .option('--timeout <time>', 'such as 90s or 5m', '30s')
    .action(verb((names: readonly string[], options: WaitOptions) => wait(ports, names, options)))
  vm.command('events')
    .description('what happened to the VMs, or to one')
    .argument('[name]', 'name of a VM')
    .option('-f, --follow', 'go on with each event as it comes')
    .action(verb((name: string | undefined, options: { readonly follow?: true }) => events(ports, name, options.follow === true)))
}

interface WaitOptions {
  readonly for: string
  readonly timeout: string
}

type Tell = (vm: VmView, ports: LoopVerbPorts) => Promise<string>

async function describe(vm: VmView, ports: LoopVerbPorts): Promise<string> {
  const { describeVm } = await import('./describe.ts')
  return describeVm(vm, ports.nowMs())
}

async function reason(vm: VmView): Promise<string> {
  const { why } = await import('./why.ts')
  const { sentence, next } = why(vm)
  return `${printable(sentence)}\n${next === undefined ? '' : `next: ${printable(next)}\n`}`
}

async function eachVm(ports: LoopVerbPorts, names: readonly string[], tell: Tell): Promise<Outcome> {
  const api = await ports.connect()
  const told: string[] = []
  const unknown: string[] = []
  for (const name of names) {
    const vm = await api.vm(name)
    if (vm === undefined) unknown.push(`error: there is no VM "${name}"\n`)
    else told.push(await tell(vm, ports))
  }
  return { exit: unknown.length > 0 ? 1 : 0, out: told.join('\n'), err: unknown.join('') }
}

async function wait(ports: LoopVerbPorts, names: readonly string[], options: WaitOptions): Promise<Outcome> {
  const { waitFor, wantedOf } = await import('./wait.ts')
  const wanted = wantedOf(options.for)
  const timeoutMs = parseDuration(options.timeout)
  if (timeoutMs === undefined) throw new UsageError(`--timeout is a time such as 90s or 5m, not "${options.timeout}"`)
  const api = await ports.connect()
  const deadline = ports.after(timeoutMs)
  return waitFor({ changes: api.watchVms(deadline), names: [...new Set(names)], wanted, deadline })
}

async function events(ports: LoopVerbPorts, name: string | undefined, follow: boolean): Promise<Outcome> {
  const { followEvents, listEvents } = await import('./events.ts')
  const api = await ports.connect()
  if (follow) {
    const output = ports.liveOutput()
    return followEvents(api.watchVms(output.closed), name, output)
  }
  if (name === undefined) return done(listEvents(await api.vms()))
  const vm = await api.vm(name)
  return vm === undefined ? { exit: 1, out: '', err: `error: there is no VM "${name}"\n` } : done(listEvents([vm]))
}
