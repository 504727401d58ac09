/** `npm run lab -- up | down | status | exec PLACE -- CMD… | docker NODE -- ARGS… | load | …` */
import { powerOff } from './clear.ts'
import { inCgroup } from './cgroups.ts'
import { onNode, onSwitch } from './daemons.ts'
import { dockerArgv, dockerEnv, killDockerd, startDockerd } from './engine.ts'
import { reserve } from './lan.ts'
import { type LabLayout, layoutFromEnv, nodeOf } from './layout.ts'
import { runAttached, say } from './run.ts'
import { status } from './status.ts'
import { down, gitSync, load, powerOn, up } from './up.ts'

const usage = `usage: npm run lab -- COMMAND          (SWARMVIRT_LAB=NAME for a second lab; default "lab")
  up [--fresh]              three Swarm nodes, a LAN with DHCP, the project's images
  down                      end all of it
  status                    what runs, and where
  load                      build and load the project's images again
  git-sync                  build and load the stand-in for git-sync
  exec PLACE -- CMD…        run on n1, n2, n3, or in the switch "lan" or "mgmt"
  docker NODE -- ARGS…      docker client of a node
  kill-dockerd NODE [SIG]   end a node's dockerd (default SIGKILL); start-dockerd NODE brings it back
  power-off NODE            cut a node's power; power-on NODE brings it back
  reserve MAC IP            make or move a DHCP reservation`

function argvFor(layout: LabLayout, place: string, command: readonly string[]): string[] {
  if (place === 'lan') return onSwitch(layout, layout.lanNetns, command)
  if (place === 'mgmt') return onSwitch(layout, layout.mgmtNetns, command)
  return onNode(layout, nodeOf(layout, place), command)
}

async function main(args: readonly string[]): Promise<number> {
  const layout = layoutFromEnv(process.env)
  const [command = '', ...rest] = args
  const [place = '', ...more] = rest.filter((each, index) => !(each === '--' && index <= 1))
  switch (command) {
    case 'up':
      await up(layout, { fresh: rest.includes('--fresh') })
      return 0
    case 'down':
      await down(layout)
      return 0
    case 'status':
      return status(layout)
    case 'load':
      for (const reference of await load(layout)) process.stdout.write(`${reference}\n`)
      return 0
    case 'git-sync':
      process.stdout.write(`${await gitSync(layout)}\n`)
      return 0
    case 'exec':
      return runAttached(argvFor(layout, place, more))
    case 'docker':
      return runAttached(inCgroup(layout.cgroup, dockerArgv(nodeOf(layout, place).dockerSocket, more)), { env: dockerEnv(layout) })
    case 'kill-dockerd':
      await killDockerd(layout, nodeOf(layout, place), (more[0] ?? 'SIGKILL') as NodeJS.Signals)
      return 0
    case 'start-dockerd':
      await startDockerd(layout, nodeOf(layout, place))
      return 0
    case 'power-off':
      await powerOff(layout, nodeOf(layout, place))
      return 0
    case 'power-on':
      await powerOn(layout, nodeOf(layout, place))
      return 0
    case 'reserve':
      await reserve(layout, place, more[0] ?? null)
      return 0
    default:
      say(usage)
      return command === '' || command === 'help' ? 0 : 2
  }
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
