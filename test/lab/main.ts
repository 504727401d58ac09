/** `npm run lab -- up | down | status | exec PLACE -- CMD… | docker NODE -- ARGS… | load | …` */
import { constants } from 'node:os'
import { Argument, Command } from 'commander'
import { powerOff } from './clear.ts'
import { inCgroup } from './cgroups.ts'
import { onNode, onSwitch } from './daemons.ts'
import { dockerArgv, dockerEnv, killDockerd, startDockerd } from './engine.ts'
import { reserve } from './lan.ts'
import { type LabLayout, layoutFromEnv, nodeOf } from './layout.ts'
import { operatorCommand } from './operator.ts'
import { readRecord } from './processes.ts'
import { runAttached, say } from './run.ts'
import { status } from './status.ts'
import { down, gitSync, load, powerOn, up } from './up.ts'

const nodes = ['n1', 'n2', 'n3']

function argvFor(layout: LabLayout, place: string, command: readonly string[]): string[] {
  if (place === 'lan') return onSwitch(layout, layout.lanNetns, command)
  if (place === 'mgmt') return onSwitch(layout, layout.mgmtNetns, command)
  return onNode(layout, nodeOf(layout, place), command)
}

/** Every command takes the lab's name, so that it can stand before or after the command's own arguments. */
function command(program: Command, usage: string, what: string): Command {
  return program.command(usage).description(what).option('--lab <name>', 'the lab (default: $SWARMVIRT_LAB, or "lab")')
}

function layoutOf(subcommand: Command): LabLayout {
  return layoutFromEnv(process.env, subcommand.opts<{ lab?: string }>().lab)
}

/** The arguments after PLACE, with or without the usual `--` before another program's arguments. */
function plain(args: readonly string[]): readonly string[] {
  return args[0] === '--' ? args.slice(1) : args
}

function node(): Argument {
  return new Argument('<node>', 'a node of the lab').choices(nodes)
}

function addLabCommands(program: Command): void {
  command(program, 'up', 'three Swarm nodes, a LAN with DHCP, the images of the project')
    .option('--fresh', 'remove what is there first')
    .action(async ({ fresh }: { fresh?: true }, self: Command) => void (await up(layoutOf(self), { fresh: fresh === true })))
  command(program, 'down', 'stop and remove all of it').action(async (_options, self: Command) => down(layoutOf(self)))
  command(program, 'status', 'show what runs, and where').action(async (_options, self: Command) => {
    process.exitCode = await status(layoutOf(self))
  })
  command(program, 'load', 'build and load the images of the project again').action(async (_options, self: Command) => {
    for (const reference of await load(layoutOf(self))) process.stdout.write(`${reference}\n`)
  })
  command(program, 'git-sync', 'build and load the stand-in for git-sync').action(async (_options, self: Command) => {
    process.stdout.write(`${await gitSync(layoutOf(self))}\n`)
  })
  command(program, 'reserve', 'make or move a DHCP reservation, or remove it when no address is given')
    .argument('<mac>')
    .argument('[address]')
    .action(async (mac: string, address: string | undefined, _options, self: Command) => reserve(layoutOf(self), mac, address ?? null))
}

function addNodeCommands(program: Command): void {
  command(program, 'exec', 'run a program on a node or in the namespace of a switch')
    .addArgument(new Argument('<place>').choices([...nodes, 'lan', 'mgmt']))
    .argument('<command...>')
    .passThroughOptions()
    .action(async (place: string, argv: string[], _options, self: Command) => {
      process.exitCode = await runAttached(argvFor(layoutOf(self), place, plain(argv)))
    })
  command(program, 'docker', 'run the Docker client of a node')
    .addArgument(node())
    .argument('<arguments...>')
    .passThroughOptions()
    .action(async (name: string, args: string[], _options, self: Command) => {
      const layout = layoutOf(self)
      if (readRecord(layout, `${name}.dockerd`) === undefined) throw new Error(`no dockerd runs on ${name} of lab "${layout.lab}"`)
      const argv = inCgroup(layout.cgroup, dockerArgv(nodeOf(layout, name).dockerSocket, plain(args)))
      process.exitCode = await runAttached(argv, { env: dockerEnv(layout) })
    })
  command(program, 'vm', 'run "docker vm" as an operator of the lab has it')
    .argument('[arguments...]')
    .passThroughOptions()
    .allowUnknownOption()
    .helpOption(false)
    .action(async (args: string[], _options, self: Command) => {
      const { argv, env } = operatorCommand(layoutOf(self), ['vm', ...plain(args)])
      process.exitCode = await runAttached(argv, { env })
    })
  command(program, 'kill-dockerd', "end a node's dockerd")
    .addArgument(node())
    .addArgument(new Argument('[signal]').choices(Object.keys(constants.signals)).default('SIGKILL'))
    .action(async (name: string, signal: NodeJS.Signals, _options, self: Command) => {
      const layout = layoutOf(self)
      await killDockerd(layout, nodeOf(layout, name), signal)
    })
  const forNode = (usage: string, what: string, run: (layout: LabLayout, of: ReturnType<typeof nodeOf>) => Promise<void>): void => {
    command(program, usage, what)
      .addArgument(node())
      .action(async (name: string, _options, self: Command) => {
        const layout = layoutOf(self)
        await run(layout, nodeOf(layout, name))
      })
  }
  forNode('start-dockerd', "start a node's dockerd again", startDockerd)
  forNode('power-off', "cut a node's power", powerOff)
  forNode('power-on', 'bring a node back', powerOn)
}

const program = new Command('npm run lab --').description('A real Swarm of three nodes on this machine.').enablePositionalOptions()
program
  .showHelpAfterError('See "npm run lab -- COMMAND --help". Name another lab with --lab NAME.')
  // 2 for a command line that means nothing, as the other programs of the project have it; 1 is a failure.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
addLabCommands(program)
addNodeCommands(program)

try {
  await program.parseAsync()
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
