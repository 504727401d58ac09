import { Command, CommanderError } from 'commander'
import { release } from '../api/release.ts'
import { messageOf } from '../api/error-message.ts'
import type { SourceSnapshot } from '../api/manifest/source-documents.ts'
import { clusterVerbs, type Verb } from './inspect/verbs.ts'
import type { Explainer } from './offline/explain.ts'
import { type LoginVerbPorts, loginVerbs } from './login/verbs.ts'
import { type VmVerbPorts, vmVerbs } from './inspect/vm-verbs.ts'
import type { InstallOptions } from './install.ts'
import { done, oneOf, type Outcome, UsageError } from './output/outcome.ts'
import { ofOurKinds, otherKindsFlag } from './offline/other-kinds.ts'
import { pointerFor } from './pointers.ts'
import { planVerbs } from './declare/plan-verbs.ts'
import { addPowerVerbs } from './inspect/power-verbs.ts'
import { suspendVerbs } from './inspect/suspend-verbs.ts'
import { validate, validateFormats } from './offline/validate.ts'
import { type WriteVerbPorts, writeVerbs } from './declare/verbs.ts'

export const description = 'Virtual machines on Docker Swarm'

/** Dependencies of the verbs. Each loads its code when called, so that a verb starts fast. */
export interface CliPorts extends VmVerbPorts, LoginVerbPorts, WriteVerbPorts {
  readonly install: (options: InstallOptions) => Promise<Outcome>
  /** Reads files and directories. `-` is standard input. */
  readonly readManifests: (paths: readonly string[]) => Promise<readonly SourceSnapshot[]>
  readonly explainer: () => Promise<Explainer>
  /** Lines of the operator's public SSH keys. */
  readonly publicKeyLines: () => Promise<readonly string[]>
  /** For completion. Empty if they are not available at once. */
  readonly vmNames: () => Promise<readonly string[]>
}

/** Runs one command line. Never throws: errors are in the outcome. Commander prints the help. */
export async function run(argv: readonly string[], ports: CliPorts): Promise<Outcome> {
  let outcome = done('')
  const verb: Verb =
    (action) =>
    async (...args) => {
      outcome = await action(...args)
    }
  const elsewhere = argv[0] === undefined ? undefined : pointerFor(argv[0], argv[1])
  if (elsewhere !== undefined) return { exit: 2, out: '', err: `error: ${elsewhere}\n` }
  try {
    await program(ports, verb).parseAsync([...argv], { from: 'user' })
    return outcome
  } catch (error) {
    // Commander has already printed the error. Its code for help and version is 0.
    if (error instanceof CommanderError) return { exit: error.exitCode === 0 ? 0 : 2, out: '', err: '' }
    return { exit: error instanceof UsageError ? 2 : 1, out: '', err: `error: ${messageOf(error)}\n` }
  }
}

/** Completion candidates for the last of `words`. `withText` adds descriptions. */
export async function completeWords(words: readonly string[], withText: boolean, ports: CliPorts): Promise<Outcome> {
  const { complete } = await import('./completion/complete.ts')
  const vm = program(ports, () => () => Promise.resolve())
  return done(await complete(vm, words, withText, ports.vmNames))
}

function program(ports: CliPorts, verb: Verb): Command {
  const vm = new Command('vm').description(description).version(release).exitOverride()
  setupVerbs(vm, ports, verb)
  manifestVerbs(vm, ports, verb)
  writeVerbs(vm, ports, verb)
  loginVerbs(vm, ports, verb)
  clusterVerbs(vm, ports, verb)
  vmVerbs(vm, ports, verb)
  planVerbs(vm, ports, verb)
  suspendVerbs(vm, ports, verb)
  addPowerVerbs(vm, ports, verb)
  return vm
}

function setupVerbs(vm: Command, ports: CliPorts, verb: Verb): void {
  vm.command('install')
    .description('create the Swarm secrets and the overlay network for guests; prints the API token once')
    .option('--network <name>', "the guests' overlay", 'swarmvirt-guests')
    .option('--user-network <name>', 'the network of VMs behind NAT', 'swarmvirt-user')
    .option('--subnet <cidr>', 'subnet of that overlay', '10.201.0.0/20')
    .option('--metrics-token', 'also create the secret swarmvirt-metrics-token, for deploy/metrics-token.yaml')
    .option('--output <format>', 'text or json', 'text')
    .action(verb(ports.install))
  vm.command('version')
    .description('print the version')
    .action(verb(() => done(`${release}\n`)))
  vm.command('completion')
    .description('print a completion script for docker-vm (Docker completes docker vm itself)')
    .argument('<shell>', 'bash, zsh or fish')
    .action(
      verb(async (shell: string) => {
        const { completionScript } = await import('./completion/scripts.ts')
        return done(completionScript(shell))
      }),
    )
}

function manifestVerbs(vm: Command, ports: CliPorts, verb: Verb): void {
  vm.command('validate')
    .description('check manifests without a cluster; reports all errors of all files')
    .argument('<path...>', 'files, directories, or - for standard input')
    .option(...otherKindsFlag)
    .option('-o, --output <format>', validateFormats.join(', '), 'text')
    .action(
      verb(async (paths: string[], options: { output: string; ignoreOtherKinds?: true }) => {
        const format = oneOf('--output', validateFormats, options.output)
        const read = await ports.readManifests(paths)
        return validate(options.ignoreOtherKinds ? ofOurKinds(read) : read, format)
      }),
    )
  vm.command('explain')
    .description('describe a field of the manifest: type, default, limits')
    .argument('[path]', 'such as spec.networks.bridge, or VirtualMachineClass.spec', '')
    .action(verb(async (path: string) => done((await ports.explainer()).explain(path))))
  vm.command('create')
    .description('print a starter manifest with comments and your public SSH keys')
    .argument('<name>', 'name of the VM')
    .option('--class <name>', 'VirtualMachineClass that sets the sizes')
    .action(
      verb(async (name: string, options: { class?: string }) => {
        // Loads the schema, which version and install do not need.
        const { create } = await import('./offline/create.ts')
        return done(create(name, await ports.publicKeyLines(), (await ports.explainer()).describe, options.class))
      }),
    )
  vm.command('schema')
    .description('print the JSON Schema of manifests, for editors')
    .action(
      verb(async () => {
        const { editorSchema } = await import('./offline/editor-schema.ts')
        return done(`${JSON.stringify(editorSchema(), null, 2)}\n`)
      }),
    )
}
