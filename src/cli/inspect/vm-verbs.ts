import type { Command } from 'commander'
import { parseDuration } from '../../api/duration.ts'
import type { VmView } from '../../api/wire/controller-api.ts'
import type { ClusterPorts, Verb } from './verbs.ts'
import { done, type Outcome, printable, UsageError } from '../output/outcome.ts'

/** Further dependencies of the verbs about the control loop. */
export interface VmVerbPorts extends ClusterPorts {
  /** Aborted after this many milliseconds. */
  readonly after: (ms: number) => AbortSignal
}

/** `describe`, `why`, `wait` and `events` show the state of the control loop. */
export function vmVerbs(vm: Command, ports: VmVerbPorts, verb: Verb): void {
  vm.command('describe')
    .description('show everything about VMs: conditions, time per step, events')
    .argument('<name...>', 'names of VMs')
    .action(verb((names: readonly string[]) => eachVm(ports, names, describe)))
  vm.command('why')
    .description('show why a VM is not Ready, and the next command')
    .argument('<name...>', 'names of VMs')
    .action(verb((names: readonly string[]) => eachVm(ports, names, reason)))
  vm.command('wait')
    .description('wait for a condition; exit 1 on timeout')
    .argument('<name...>', 'names of VMs')
    .option('--for <what>', 'condition=TYPE[=STATUS], phase=PHASE or delete', 'condition=Ready')
    .option('--timeout <time>', 'duration such as 90s or 5m', '30s')
    .action(verb((names: readonly string[], options: WaitOptions) => wait(ports, names, options)))
  vm.command('events')
    .description('show the events of all VMs, or of one')
    .argument('[name]', 'name of a VM')
    .option('-f, --follow', 'keep printing new events')
    .action(verb((name: string | undefined, options: { readonly follow?: true }) => events(ports, name, options.follow === true)))
}

interface WaitOptions {
  readonly for: string
  readonly timeout: string
}

type Tell = (vm: VmView, ports: VmVerbPorts) => Promise<string>

async function describe(vm: VmView, ports: VmVerbPorts): Promise<string> {
  const { describeVm } = await import('./describe.ts')
  return describeVm(vm, ports.nowMs())
}

async function reason(vm: VmView): Promise<string> {
  const { why } = await import('./why.ts')
  const { sentence, next } = why(vm)
  return `${printable(sentence)}\n${next === undefined ? '' : `next: ${printable(next)}\n`}`
}

async function eachVm(ports: VmVerbPorts, names: readonly string[], tell: Tell): Promise<Outcome> {
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

async function wait(ports: VmVerbPorts, names: readonly string[], options: WaitOptions): Promise<Outcome> {
  const { waitFor, wantedOf } = await import('./wait.ts')
  const wanted = wantedOf(options.for)
  const timeoutMs = parseDuration(options.timeout)
  if (timeoutMs === undefined) throw new UsageError(`--timeout must be a duration such as 90s or 5m, not "${options.timeout}"`)
  const api = await ports.connect()
  const deadline = ports.after(timeoutMs)
  return waitFor({ changes: api.watchVms(deadline), names: [...new Set(names)], wanted, deadline })
}

async function events(ports: VmVerbPorts, name: string | undefined, follow: boolean): Promise<Outcome> {
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
