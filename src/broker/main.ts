import { readFileSync } from 'node:fs'
import { fdSockets } from '../adapters/linux/fd-sockets.ts'
import { linuxHost } from '../adapters/linux/host.ts'
import { pinoLog } from '../adapters/process/pino-log.ts'
import { systemClock } from '../adapters/process/system-clock.ts'
import { systemRandom } from '../adapters/process/system-random.ts'
import { type Layout, layout, layoutVersion } from '../api/layout.ts'
import type { Log } from '../ports/log.ts'
import { broker } from './broker.ts'
import { type BrokerCommand, parseBrokerCommand, usage, UsageError } from './config.ts'
import { askPowerOffAll, askPowerOnAll } from './power-off.ts'

/** Directories and sockets get exactly their modes. All other files are only for root and the shared group. */
const umask = 0o007

async function serve(command: Extract<BrokerCommand, { kind: 'serve' }>): Promise<void> {
  const log = pinoLog('broker')
  const paths = layout(command.stateRoot)
  checkLayout(paths, log)
  process.umask(umask)
  const bootId = systemRandom.uuid()
  const running = await broker({
    ...linuxHost(paths, command.protect, command.userNetwork),
    layout: paths,
    limits: command.limits,
    fixForward: command.fixForward,
    clock: systemClock,
    log,
    bootId,
  })
  log.info({ stateRoot: command.stateRoot, limits: command.limits, bootId }, 'The broker is listening')
  const stop = (signal: string): void => {
    log.info({ signal }, 'The broker is stopping; running VMs keep their devices')
    running.close()
    // Exits without waiting for pending storage calls.
    process.exit(0)
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

/** Exits if another release created the state root with a different layout. */
function checkLayout(paths: Layout, log: Log): void {
  let found: unknown
  try {
    found = JSON.parse(readFileSync(paths.layoutFile, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return log.warn({ path: paths.layoutFile }, 'The state root has no layout file; run install-node on this node')
  }
  const version = (found as { version?: unknown } | null)?.version
  if (version !== layoutVersion)
    throw new Error(`${paths.layoutFile} has version ${String(version)}, but this release supports ${layoutVersion}`)
}

async function powerOffAll(command: Extract<BrokerCommand, { kind: 'powerOffAll' }>): Promise<void> {
  const remaining = await askPowerOffAll(fdSockets(), systemClock, layout(command.stateRoot).adminSocket, command.timeoutMs)
  if (remaining.length === 0) return
  process.stderr.write(`still running after ${command.timeoutMs / 1000} s: ${remaining.join(', ')}\n`)
  process.exitCode = 1
}

async function main(): Promise<void> {
  const command = parseBrokerCommand(process.argv.slice(2))
  switch (command.kind) {
    case 'serve':
      return serve(command)
    case 'powerOffAll':
      return powerOffAll(command)
    case 'powerOnAll':
      return askPowerOnAll(fdSockets(), systemClock, layout(command.stateRoot).adminSocket)
    default:
      return command satisfies never
  }
}

main().catch((error: unknown) => {
  const isUsage = error instanceof UsageError
  process.stderr.write(`broker: ${(error as Error).message}\n${isUsage ? `${usage}\n` : ''}`)
  process.exit(isUsage ? 2 : 1)
})
