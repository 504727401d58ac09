import type { Command } from 'commander'
import type { ApplyPorts } from './apply.ts'
import type { Verb } from '../inspect/verbs.ts'
import type { ReadTexts } from './declared.ts'
import type { DeletePorts } from './delete.ts'
import { otherKindsFlag, textsOfOurKinds } from '../offline/other-kinds.ts'
import { oneOf, type Outcome, UsageError } from '../output/outcome.ts'

export interface WriteVerbPorts {
  /** Reads files and directories, with the text of each document. `-` is standard input. */
  readonly readTexts: (paths: readonly string[]) => Promise<ReadTexts>
  readonly writing: () => Promise<ApplyPorts & DeletePorts>
}

interface ApplyFlags {
  readonly filename: readonly string[]
  readonly source?: string
  readonly prune?: true
  readonly force?: true
  readonly dryRun?: true
  readonly ignoreOtherKinds?: true
  readonly output: string
}

interface DeleteFlags {
  readonly filename?: readonly string[]
  readonly ignoreOtherKinds?: true
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

/** `apply` and `delete`, which write and remove Swarm configs (ADR 0014). */
export function writeVerbs(vm: Command, ports: WriteVerbPorts, verb: Verb): void {
  vm.command('apply')
    .description('declare VMs from manifests, stored as Swarm configs')
    .requiredOption('-f, --filename <path>', 'file, directory, or - for standard input; may be repeated', collect)
    .option('--source <name>', 'name of the applying source, such as a pipeline; objects of other sources are rejected (default "default")')
    .option('--prune', 'delete objects that --source applied earlier and that are not in the input')
    .option('--force', 'take over objects of other sources')
    .option('--dry-run', 'show the changes without making them')
    .option(...otherKindsFlag)
    .option('-o, --output <format>', 'text, json, name', 'text')
    .action(verb((flags: ApplyFlags) => applyFiles(ports, flags)))
  vm.command('delete')
    .description('delete manifests created by apply; their VMs are shut down and their disks kept')
    .argument('[name...]', 'NAME, or KIND/NAME such as class/small')
    .option('-f, --filename <path>', 'delete what these manifests declare; may be repeated', collect)
    .option(...otherKindsFlag)
    .action(verb((names: readonly string[], flags: DeleteFlags) => deleteNamed(ports, names, flags)))
}

async function applyFiles(ports: WriteVerbPorts, flags: ApplyFlags): Promise<Outcome> {
  const { apply, applyFormats } = await import('./apply.ts')
  const options = {
    source: flags.source,
    prune: flags.prune === true,
    force: flags.force === true,
    dryRun: flags.dryRun === true,
    output: oneOf('--output', applyFormats, flags.output),
  }
  return apply(await ports.writing(), await read(ports, flags.filename, flags), options)
}

async function read(ports: WriteVerbPorts, files: readonly string[], flags: { readonly ignoreOtherKinds?: true }): Promise<ReadTexts> {
  const texts = await ports.readTexts(files)
  return flags.ignoreOtherKinds ? textsOfOurKinds(texts) : texts
}

async function deleteNamed(ports: WriteVerbPorts, names: readonly string[], flags: DeleteFlags): Promise<Outcome> {
  const files = flags.filename ?? []
  if (names.length === 0 && files.length === 0) throw new UsageError('delete needs a NAME, or -f FILE')
  const { isOutcome, namedIn, objectNamed } = await import('./declared.ts')
  const { deleteObjects } = await import('./delete.ts')
  const named = names.map((name) => {
    const found = objectNamed(name)
    if (found === undefined) throw new UsageError(`"${name}" is neither NAME nor KIND/NAME, where KIND is vm or class`)
    return found
  })
  const declared = files.length === 0 ? [] : namedIn(await read(ports, files, flags))
  if (isOutcome(declared)) return declared
  return deleteObjects(await ports.writing(), [...named, ...declared])
}
