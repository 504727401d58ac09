import type { Command } from 'commander'
import type { ControllerApi } from '../ports/controller-api.ts'
import type { Login } from './login.ts'
import { done, oneOf, type Outcome } from './outcome.ts'
import { showNodes, showSources, showVm, showVms, type ViewFormat, viewFormats, type YamlText } from './views.ts'

/** What the verbs that ask the controller need of the world. */
export interface ClusterPorts {
  /** With the login that is kept; throws where there is none. */
  readonly connect: () => Promise<ControllerApi>
  readonly connectWith: (login: Login) => Promise<ControllerApi>
  /** Keeps it where only its owner reads it; resolves with the path. */
  readonly keepLogin: (login: Login) => Promise<string>
  readonly standardInput: () => Promise<string>
  readonly yaml: () => Promise<YamlText>
}

/** Makes an action of commander's out of one that gives an outcome. */
export type Verb = <Args extends unknown[]>(action: (...args: Args) => Promise<Outcome> | Outcome) => (...args: Args) => Promise<void>

interface ViewOptions {
  readonly output: string
  readonly quiet?: true
}

/** `login`, `ls`, `nodes` and `sources`. */
export function clusterVerbs(vm: Command, ports: ClusterPorts, verb: Verb): void {
  vm.command('login')
    .description("keep the controller's address, certificate and token for the verbs that ask it")
    .requiredOption('--server <url>', 'https://HOST[:PORT] of the controller; the port is 9471 where none is given')
    .requiredOption('--fingerprint <sha256>', 'of its certificate, as install printed it')
    .requiredOption('--token-stdin', 'read the API token from standard input')
    .action(verb((options: { server: string; fingerprint: string }) => login(ports, options)))
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

async function login(ports: ClusterPorts, options: { readonly server: string; readonly fingerprint: string }): Promise<Outcome> {
  const { loginOf, tryLogin } = await import('./login.ts')
  const given = loginOf(options, await ports.standardInput())
  const release = await tryLogin(await ports.connectWith(given))
  return done(`logged in to ${given.server} (swarmvirt ${release}); kept in ${await ports.keepLogin(given)}\n`)
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
