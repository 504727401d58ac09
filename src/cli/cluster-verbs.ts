import type { Command } from 'commander'
import type { ControllerApi } from '../ports/controller-api.ts'
import { done, oneOf, type Outcome } from './outcome.ts'
import { showNodes, showSources, showVm, showVms, type ViewFormat, viewFormats, type YamlText } from './views.ts'

/** What the verbs that ask the controller need of the world. */
export interface ClusterPorts {
  /** With the login that is kept; throws where there is none. */
  readonly connect: () => Promise<ControllerApi>
  readonly yaml: () => Promise<YamlText>
}

/** Makes an action of commander's out of one that gives an outcome. */
export type Verb = <Args extends unknown[]>(action: (...args: Args) => Promise<Outcome> | Outcome) => (...args: Args) => Promise<void>

interface ViewOptions {
  readonly output: string
  readonly quiet?: true
}

/** `ls`, `nodes` and `sources`. */
export function clusterVerbs(vm: Command, ports: ClusterPorts, verb: Verb): void {
  view(vm.command('ls').alias('get').description('the VMs, or one').argument('[name]', 'name of a VM')).action(
    verb(async (name: string | undefined, options: ViewOptions) => listVms(ports, name, options)),
  )
  view(vm.command('nodes').description('the nodes, and what each can run')).action(
    verb(async (options: ViewOptions) => {
      const form = await formOf(ports, options)
      return done(showNodes(await (await ports.connect()).nodes(), ...form))
    }),
  )
  view(vm.command('sources').description('where manifests are read from, and what is wrong with them')).action(
    verb(async (options: ViewOptions) => {
      const form = await formOf(ports, options)
      return done(showSources(await (await ports.connect()).sources(), ...form))
    }),
  )
}

function view(command: Command): Command {
  return command.option('-o, --output <format>', viewFormats.join(', '), 'table').option('-q, --quiet', 'names only')
}

async function listVms(ports: ClusterPorts, name: string | undefined, options: ViewOptions): Promise<Outcome> {
  const form = await formOf(ports, options)
  const api = await ports.connect()
  if (name === undefined) return done(showVms(await api.vms(), ...form))
  const vm = await api.vm(name)
  return vm === undefined ? { exit: 1, out: '', err: `error: there is no VM "${name}"\n` } : done(showVm(vm, ...form))
}

/** Before anything is asked, so that a wrong `--output` needs no cluster to be seen. */
async function formOf(ports: ClusterPorts, options: ViewOptions): Promise<[ViewFormat, YamlText]> {
  const format = options.quiet === true ? 'name' : oneOf('--output', viewFormats, options.output)
  return [format, await ports.yaml()]
}
