import { closeSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, hostname, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { childProcesses } from '../adapters/node/child-process.ts'
import { imageArrivals } from '../adapters/node/image-arrivals.ts'
import { jsonLog } from '../adapters/process/json-log.ts'
import { fdSockets } from '../adapters/linux/fd-sockets.ts'
import { diskClaims } from '../adapters/linux/disk-claims.ts'
import { loadLibc } from '../adapters/linux/libc.ts'
import { listenPsk } from '../adapters/control/psk-https.ts'
import { qemuImg } from '../adapters/node/qemu-img.ts'
import { runnerSockets } from '../adapters/node/runner-sockets.ts'
import { stateFiles } from '../adapters/node/state-files.ts'
import { systemClock } from '../adapters/process/system-clock.ts'
import { systemRandom } from '../adapters/process/system-random.ts'
import { tcpConnect } from '../adapters/node/tcp-connect.ts'
import { type ControlKey, parseControlKeys } from '../api/control-key.ts'
import { layout } from '../api/layout.ts'
import { release } from '../api/release.ts'
import { maxAgentBodyBytes } from '../api/wire/agent-api.ts'
import type { Log } from '../ports/log.ts'
import { startAgent } from './agent.ts'
import { type AgentConfig, ConfigError, readConfig } from './config.ts'
import { kvmProbeImage } from './kvm-probe/payload.ts'
import { featuresIn } from './firmware.ts'
import { qemuRuns } from './kvm-probe/runs.ts'
import { machineType } from './preparer.ts'

/** The KVM probe's disk in the container's tmpfs, created at the first probe. */
function probeImage(): () => string {
  let path: string | undefined
  return () => {
    if (path === undefined) {
      const made = join(mkdtempSync(join(tmpdir(), 'swarmvirt-probe-')), 'probe.img')
      writeFileSync(made, kvmProbeImage())
      path = made
    }
    return path
  }
}

function readKeys(file: string): readonly ControlKey[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new ConfigError(`cannot read the control key: ${(cause as Error).message}`, { cause })
  }
  const parsed = parseControlKeys(text)
  if (!parsed.ok) throw new ConfigError(`${file}: ${parsed.message}`)
  return parsed.keys
}

async function run(config: AgentConfig, log: Log, signal: AbortSignal): Promise<void> {
  const keys = readKeys(config.keyFile)
  const paths = layout(config.stateRoot)
  const listener = await startAgent(
    {
      release,
      host: { hostname: hostname(), memoryBytes: totalmem(), cpus: cpus().length, features: featuresIn(existsSync) },
      layout: paths,
      files: stateFiles(),
      arrivals: imageArrivals({ allowHosts: config.allowImageHosts }),
      tool: qemuImg({ program: config.qemuImg }),
      claims: diskClaims(loadLibc()),
      runners: runnerSockets({ layout: paths }),
      tcpConnect,
      sockets: fdSockets(),
      closeFd: closeSync,
      probeRuns: qemuRuns({ qemu: config.qemu, image: probeImage(), machine: machineType, children: childProcesses, clock: systemClock }),
      listen: (answer) => listenPsk({ keys, host: config.host, port: config.port, maxBodyBytes: maxAgentBodyBytes, answer, log }),
      clock: systemClock,
      random: systemRandom,
      log,
    },
    signal,
  )
  log.info({ port: listener.port, stateRoot: config.stateRoot, release, keys: keys.map((key) => key.id) }, 'The agent is listening')
}

function main(): void {
  // Runners share the group. Other users have no access (ADR 0004).
  process.umask(0o007)
  const stop = new AbortController()
  const exit = (code: number, log: ReturnType<typeof jsonLog>): void => {
    stop.abort(new Error('the agent was stopped'))
    // No graceful shutdown is needed: every write is atomic, and the next start repairs the state of a killed agent anyway.
    void log.flush().then(() => process.exit(code))
  }
  let log = jsonLog(process.stderr, { debug: false })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => exit(0, log))
  try {
    const config = readConfig()
    log = jsonLog(process.stderr, { debug: config.debug })
    run(config, log, stop.signal).catch((error: unknown) => fail(error))
  } catch (error) {
    fail(error)
  }

  function fail(error: unknown): void {
    log.error({ error: error instanceof ConfigError ? error.message : String(error) }, 'Cannot start the agent')
    exit(error instanceof ConfigError ? 2 : 1, log)
  }
}

main()
