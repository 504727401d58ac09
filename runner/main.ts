import { closeSync } from 'node:fs'
import { hostname } from 'node:os'
import { childProcesses } from '../src/adapters/node/child-process.ts'
import { type JsonLog, jsonLog } from '../src/adapters/process/json-log.ts'
import { fdSockets } from '../src/adapters/linux/fd-sockets.ts'
import { portRelay } from '../src/adapters/node/port-relay.ts'
import { runnerFiles } from '../src/adapters/node/runner-files.ts'
import { systemClock } from '../src/adapters/process/system-clock.ts'
import { unixSockets } from '../src/adapters/node/unix-sockets.ts'
import { type RunnerConfig, runnerConfig, vmPaths } from './config.ts'
import { containerOf } from './container.ts'
import { exitCodes, RunnerExit } from './exit-codes.ts'
import { readHardening } from './hardening.ts'
import { makeSeed } from './seed.ts'
import { serialLog } from './serial-log.ts'
import { Stop } from './stop.ts'
import { Supervisor, type SupervisorDeps } from './supervisor.ts'

async function main(log: JsonLog): Promise<number> {
  const stop = new Stop()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.request('exit', signal))
  // Read first, so that a failed start also reports its hardening.
  const hardening = await readHardening()
  const config = runnerConfig(process.argv.slice(2))
  const supervisor = new Supervisor({
    config,
    ...filesOf(config, log),
    hardening,
    container: containerOf(hostname()),
    brokerSockets: fdSockets(),
    controlSockets: unixSockets,
    closeFd: closeSync,
    processes: childProcesses,
    portRelay,
    clock: systemClock,
    log,
    stop,
  })
  return exitCodes[await supervisor.run()]
}

function filesOf(config: RunnerConfig, log: JsonLog): Pick<SupervisorDeps, 'files' | 'serialLog' | 'makeSeed'> {
  const { genisoimage, scratch, userData: userDataPath, networkData: networkDataPath } = config
  return {
    files: runnerFiles,
    serialLog: serialLog(vmPaths(config.vmDir).serialLog, (error) => log.warn({ why: error.message }, 'The serial log cannot be written')),
    makeSeed: ({ cloudInit }, nics) => makeSeed({ cloudInit, nics, userDataPath, networkDataPath, scratch, genisoimage }, childProcesses),
  }
}

const log = jsonLog(process.stdout, { debug: false })
void main(log)
  .catch((error: unknown) => {
    log.error({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'The runner failed')
    return error instanceof RunnerExit ? exitCodes[error.exit] : 1
  })
  .then(async (code) => {
    await log.flush()
    process.exit(code)
  })
