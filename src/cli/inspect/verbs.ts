import type { Command } from 'commander'
import type { DiskView } from '../../api/wire/disks.ts'
import type { NodeView, SourceView, VmView } from '../../api/wire/controller-api.ts'
import type { ControllerApi } from '../../ports/controller-api.ts'
import { done, type Outcome, printable, UsageError } from '../output/outcome.ts'
import type { Form, FormOptions, YamlText } from '../output/views.ts'
import type { LiveOutput } from './watch.ts'

/** Dependencies of the verbs that use the controller's API. */
export interface ClusterPorts {
  /** Connects with the stored login. Throws if there is none. */
  readonly connect: () => Promise<ControllerApi>
  readonly yaml: () => Promise<YamlText>
  /** For verbs that do not end. */
  readonly liveOutput: () => LiveOutput
  readonly nowMs: () => number
}

/** Wraps an action that returns an outcome for commander. */
export type Verb = <Args extends unknown[]>(action: (...args: Args) => Promise<Outcome> | Outcome) => (...args: Args) => Promise<void>

interface ListOptions extends FormOptions {
  readonly filter?: readonly string[]
}

interface WatchOptions extends ListOptions {
  readonly watch?: true
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

/** `ls`, `nodes`, `disks`, `sources`, `confirm-removal` and `reload`. */
export function clusterVerbs(vm: Command, ports: ClusterPorts, verb: Verb): void {
  list(
    vm.command('ls').alias('get').description('list VMs, or show one').argument('[name]', 'name of a VM'),
    'name, phase, node, ready or label',
  )
    .option('-w, --watch', 'keep printing a line for each change')
    .action(verb(async (name: string | undefined, options: WatchOptions) => listVms(ports, name, options)))
  list(vm.command('nodes').description('list nodes and what each can run'), 'name, role, availability, state, capable or label').action(
    verb(async (options: ListOptions) => listNodes(ports, options)),
  )
  list(vm.command('disks').description('list disks on the nodes, and which are unused'), 'node, vm, state or uid').action(
    verb(async (options: ListOptions) => listDisks(ports, options)),
  )
  view(vm.command('sources').description('list the sources of manifests and their errors')).action(
    verb(async (options: FormOptions) => listSources(ports, options)),
  )
  vm.command('confirm-removal')
    .description('confirm blocked removals; without --yes, only list them')
    .argument('[name...]', 'exactly the VMs whose removal is blocked (default: all)')
    .option('-y, --yes', 'confirm')
    .action(
      verb(async (names: readonly string[], options: { readonly yes?: true }) => {
        const { confirmRemoval } = await import('./confirm-removal.ts')
        return confirmRemoval(await ports.connect(), names, options.yes === true)
      }),
    )
  vm.command('reload')
    .description('request a read of all manifests now; does not wait for the result')
    .action(
      verb(async () => {
        await (await ports.connect()).reload()
        return done('')
      }),
    )
}

function view(command: Command): Command {
  return command
    .option('-o, --output <format>', 'table (default), wide, json, yaml, name')
    .option('--format <template>', 'json, table, or a Go template such as {{.Name}}; "table TEMPLATE" adds a header')
    .option('-q, --quiet', 'names only')
}

function list(command: Command, keys: string): Command {
  return view(command).option('-f, --filter <key=value>', `${keys}; may be repeated`, collect)
}

async function listVms(ports: ClusterPorts, name: string | undefined, options: WatchOptions): Promise<Outcome> {
  if (name !== undefined && options.filter !== undefined) throw new UsageError('--filter applies to the list, not to a single VM')
  const { filterOf, vmFilters } = await import('../output/filters.ts')
  const isWanted = filterOf(options.filter ?? [], vmFilters)
  const form = await vmForm(ports, options)
  const api = await ports.connect()
  if (options.watch === true) return watch(ports, api, { form, isWanted, name })
  const { shown } = await import('../output/views.ts')
  if (name === undefined) {
    const vms = (await api.vms()).filter(isWanted)
    return done(shown(form, vms, { vms }))
  }
  const vm = await api.vm(name)
  return vm === undefined ? { exit: 1, out: '', err: `error: there is no VM "${name}"\n` } : done(shown(form, [vm], vm))
}

async function vmForm(ports: ClusterPorts, options: FormOptions): Promise<Form<VmView>> {
  const { formOf } = await import('../output/views.ts')
  const { vmShape } = await import('../output/columns.ts')
  return formOf(vmShape(ports.nowMs), options, await ports.yaml())
}

async function watch(
  ports: ClusterPorts,
  api: ControllerApi,
  what: { readonly form: Form<VmView>; readonly isWanted: (vm: VmView) => boolean; readonly name: string | undefined },
): Promise<Outcome> {
  const { watchVms } = await import('./watch.ts')
  const output = ports.liveOutput()
  return watchVms({ ...what, changes: api.watchVms(output.closed), output })
}

async function listNodes(ports: ClusterPorts, options: ListOptions): Promise<Outcome> {
  const { filterOf, nodeFilters } = await import('../output/filters.ts')
  const { formOf, shown } = await import('../output/views.ts')
  const { nodeShape } = await import('../output/columns.ts')
  const isWanted = filterOf(options.filter ?? [], nodeFilters)
  const form: Form<NodeView> = formOf(nodeShape, options, await ports.yaml())
  const nodes = (await (await ports.connect()).nodes()).filter(isWanted)
  return done(shown(form, nodes, { nodes }))
}

/** An unreachable node may have more disks, so the list must not look complete. */
async function listDisks(ports: ClusterPorts, options: ListOptions): Promise<Outcome> {
  const { diskFilters, filterOf } = await import('../output/filters.ts')
  const { formOf, shown } = await import('../output/views.ts')
  const { diskShape } = await import('../output/columns.ts')
  const isWanted = filterOf(options.filter ?? [], diskFilters)
  const form: Form<DiskView> = formOf(diskShape, options, await ports.yaml())
  const view = await (await ports.connect()).disks()
  const disks = view.disks.filter(isWanted)
  const err = view.unasked.map(({ node, message }) => `error: ${printable(`cannot reach ${node}: ${message}`)}\n`).join('')
  return { exit: err === '' ? 0 : 1, out: shown(form, disks, { ...view, disks }), err }
}

async function listSources(ports: ClusterPorts, options: FormOptions): Promise<Outcome> {
  const { formOf, showSources } = await import('../output/views.ts')
  const { sourceShape } = await import('../output/columns.ts')
  const form: Form<SourceView> = formOf(sourceShape, options, await ports.yaml())
  return done(showSources(await (await ports.connect()).sources(), form))
}
