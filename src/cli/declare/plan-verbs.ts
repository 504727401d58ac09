import type { Command } from 'commander'
import type { VmPlan } from '../../api/wire/plan.ts'
import type { ControllerApi } from '../../ports/controller-api.ts'
import { messageOf } from '../../api/error-message.ts'
import type { SourceSnapshot } from '../../api/manifest/source-documents.ts'
import type { ClusterPorts, Verb } from '../inspect/verbs.ts'
import type { ReadTexts } from './declared.ts'
import { otherKindsFlag, textsOfOurKinds } from '../offline/other-kinds.ts'
import { oneOf, type Outcome, UsageError } from '../output/outcome.ts'
import type { WriteVerbPorts } from './verbs.ts'

export type PlanVerbPorts = Pick<ClusterPorts, 'connect'> & WriteVerbPorts

interface DiffFlags {
  readonly filename?: readonly string[]
  readonly ignoreOtherKinds?: true
  readonly output: string
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]
const formats = ['text', 'json'] as const

/** `plan` and `diff` show what would change. Neither writes anything. */
export function planVerbs(vm: Command, ports: PlanVerbPorts, verb: Verb): void {
  vm.command('plan')
    .description('show what the next reconcile will do, field by field, and how it affects the guest')
    .argument('[name...]', 'names of VMs (default: all)')
    .option('-o, --output <format>', formats.join(', '), 'text')
    .action(verb((names: readonly string[], flags: { readonly output: string }) => plan(ports, names, flags)))
  vm.command('diff')
    .description('compare manifests with the applied ones (-f), or the applied ones with the running VMs; exit 1 if they differ')
    .argument('[name...]', 'names of VMs')
    .option('-f, --filename <path>', 'file, directory, or - for standard input; may be repeated', collect)
    .option(...otherKindsFlag)
    .option('-o, --output <format>', formats.join(', '), 'text')
    .action(verb((names: readonly string[], flags: DiffFlags) => orTwo(() => diff(ports, names, flags))))
}

/** As in diff and kubectl diff, exit code 1 only means that there are differences. */
async function orTwo(work: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await work()
  } catch (error) {
    return { exit: 2, out: '', err: `error: ${messageOf(error)}\n` }
  }
}

async function plan(ports: PlanVerbPorts, names: readonly string[], flags: { readonly output: string }): Promise<Outcome> {
  const format = oneOf('--output', formats, flags.output)
  const { planText } = await import('./plan.ts')
  const api = await ports.connect()
  const { plans, unknown } = await plansOf(api, names.length === 0 ? (await api.vms()).map((one) => one.name) : [...new Set(names)])
  const out = format === 'json' ? `${JSON.stringify({ virtualMachines: plans }, null, 2)}\n` : plans.map(planText).join('')
  return { exit: unknown === '' ? 0 : 1, out, err: unknown }
}

async function diff(
  ports: PlanVerbPorts,
  names: readonly string[],
  { filename = [], output, ignoreOtherKinds }: DiffFlags,
): Promise<Outcome> {
  if ((names.length === 0) === (filename.length === 0)) throw new UsageError('diff takes either names of VMs or -f FILE')
  const format = oneOf('--output', formats, output)
  const { diffManifests, diffRunning } = await import('./diff.ts')
  if (filename.length > 0) {
    const texts = await ports.readTexts(filename)
    const read = ignoreOtherKinds ? textsOfOurKinds(texts) : texts
    return diffManifests(await ports.connect(), read.snapshots, await classesBeside(ports, read), format)
  }
  const { plans, unknown } = await plansOf(await ports.connect(), [...new Set(names)])
  return unknown === '' ? diffRunning(plans, format) : { exit: 2, out: '', err: unknown }
}

/** Limits concurrent plans, since each asks Docker and a node. */
const atOnce = 8

async function plansOf(
  api: ControllerApi,
  names: readonly string[],
): Promise<{ readonly plans: readonly VmPlan[]; readonly unknown: string }> {
  const plans: VmPlan[] = []
  let unknown = ''
  for (let first = 0; first < names.length; first += atOnce) {
    const some = names.slice(first, first + atOnce)
    const found = await Promise.all(some.map((name) => api.plan(name)))
    for (const [index, one] of found.entries()) {
      if (one === undefined) unknown += `error: there is no VM "${some[index]}"\n`
      else plans.push(one)
    }
  }
  return { plans, unknown }
}

/** A VM may refer to a class that is in the Swarm already. */
async function classesBeside(ports: PlanVerbPorts, read: ReadTexts): Promise<readonly SourceSnapshot[]> {
  const { leansOnClasses } = await import('./declared.ts')
  if (!leansOnClasses(read)) return []
  const { otherClasses } = await import('./apply.ts')
  const { manifestConfigs } = await import('./manifest-configs.ts')
  const writing = await ports.writing()
  return [otherClasses(writing, read, await manifestConfigs(writing.docker, writing.split))]
}
