import { existsSync, readFileSync } from 'node:fs'
import { agentClient } from '../adapters/control/agent-client.ts'
import { agentsDirectory } from '../adapters/control/agents-directory.ts'
import { type Listening, listenApi, listenMetrics } from '../adapters/controller-api/api-server.ts'
import { dockerNetworks } from '../adapters/docker/docker-networks.ts'
import { dockerSwarm } from '../adapters/docker/docker-swarm.ts'
import { manifestConfigs } from '../adapters/manifest/manifest-configs.ts'
import { manifestDirectory } from '../adapters/directory/manifest-directory.ts'
import { type LogLevel, pinoLog } from '../adapters/process/pino-log.ts'
import { type PromMetrics, promMetrics } from '../adapters/process/prom-metrics.ts'
import { systemClock } from '../adapters/process/system-clock.ts'
import { systemRandom } from '../adapters/process/system-random.ts'
import { type ControlKey, parseControlKeys } from '../api/control-key.ts'
import { agentPort } from '../api/wire/agent-api.ts'
import { messageOf } from '../api/error-message.ts'
import type { Log } from '../ports/log.ts'
import type { ManifestSource } from '../ports/manifest-source.ts'
import type { Swarm } from '../ports/swarm.ts'
import { collecting, type CollectPorts, holdsValid } from './declarations/garbage-collect.ts'
import { type ControllerConfig, defaultMetricsTokenFile, readConfig, type SourceName } from './config.ts'
import { compose } from './compose.ts'
import { declarationStore } from './declarations/store.ts'
import { informedSwarm } from './informer/informed-swarm.ts'
import { checkNetworks } from './loop/network-check.ts'
import { stackOf } from './stack.ts'

const release = '0.1.0'

function controlKeys(file: string): readonly [ControlKey, ...ControlKey[]] {
  const parsed = parseControlKeys(readFileSync(file, 'utf8'))
  if (parsed.ok) return parsed.keys
  throw new Error(`${file}: ${parsed.message}`)
}

type IsValid = CollectPorts['isValid']

function sourcesOf(config: ControllerConfig, swarm: Swarm, log: Log, isValid: IsValid): readonly ManifestSource[] {
  const { manifests, watchPolling, collectAfterMs } = config
  const made: Readonly<Record<SourceName, () => ManifestSource>> = {
    directory: () => manifestDirectory({ path: manifests, watchPolling }),
    configs: () => collecting(manifestConfigs(swarm), { swarm, clock: systemClock, log, collectAfterMs, isValid }),
  }
  return config.sources.map((name) => made[name]())
}

function build(config: ControllerConfig, metrics: PromMetrics, log: Log): ReturnType<typeof compose> {
  const { settings } = config
  const [clock, random] = [systemClock, systemRandom]
  const docker = dockerSwarm(config.docker)
  const informed = informedSwarm(docker, clock)
  const { swarm } = informed
  const keys = controlKeys(config.controlKeyFile)
  const isValid: IsValid = (file, vm) => declarations.snapshots().some((one) => one.source === 'configs' && holdsValid(one, file, vm))
  const sources = sourcesOf(config, swarm, log, isValid)
  const declarations = declarationStore(
    { sources: sources.length, removalGraceMs: config.removalGraceMs, cluster: settings.cluster },
    clock,
  )
  const connect = (address: string): ReturnType<typeof agentClient> => agentClient({ address, port: agentPort, keys })
  const agents = agentsDirectory({ swarm, controlNetwork: config.controlNetwork, connect, now: () => clock.elapsed() })
  const { resyncMs } = config
  const shared = { informed, sources, declarations, agents, settings, metrics, clock, random, log, resyncMs }
  return compose({ ...shared, id: random.uuid() })
}

async function listen(config: ControllerConfig, built: ReturnType<typeof build>, metrics: PromMetrics): Promise<readonly Listening[]> {
  const { view, actions } = built
  const [key, certificate] = [readFileSync(config.apiKeyFile, 'utf8'), readFileSync(config.apiCertFile, 'utf8')]
  const token = readFileSync(config.apiTokenFile, 'utf8').trim()
  const api = await listenApi({ port: config.apiPort, key, certificate, token, release }, view, actions, built.inspection)
  return [api, await listenMetrics({ port: config.metricsPort, token: metricsToken(config) }, view, metrics)]
}

/** A configured file must exist; the default one is an optional secret. */
function metricsToken({ metricsTokenFile: file }: ControllerConfig): string | undefined {
  if (file === defaultMetricsTokenFile && !existsSync(file)) return undefined
  return readFileSync(file, 'utf8').trim()
}

/** Aborted by the first SIGTERM or SIGINT; a second one ends the process at once. */
function stopSignal(log: Log): AbortSignal {
  const stopping = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (stopping.signal.aborted) process.exit(1)
      log.info({ signal: name }, 'Stopping')
      stopping.abort(new Error('the controller is being stopped'))
    })
  }
  return stopping.signal
}

async function main(config: ControllerConfig, log: Log): Promise<void> {
  const metrics = promMetrics(release)
  const built = build(config, metrics, log)
  metrics.show(built.view)
  const signal = stopSignal(log)
  // As usual for daemons: SIGHUP reloads the manifests.
  process.on('SIGHUP', () => built.actions.reload())
  const listeners = await listen(config, built, metrics)
  const { settings, sources, manifests, docker, apiPort, metricsPort } = config
  log.info({ release, ...settings, sources, manifests, docker, apiPort, metricsPort }, 'Started')
  const overlays = { guests: settings.guestsNetwork, control: config.controlNetwork, user: settings.userNetwork }
  const checks = checkNetworks({ networks: dockerNetworks(docker), clock: systemClock, log, ...overlays }, signal)
  await Promise.all([built.run(signal), checks])
  await Promise.all(listeners.map((listener) => listener.close()))
  log.info({}, 'Stopped')
}

/** Exits with 2 for a wrong command line or environment, and with 1 for any other error. */
function start(): void {
  const config = configOrExit()
  const log = pinoLog('controller', config.logLevel as LogLevel)
  main(config, log).then(
    () => process.exit(0),
    (error: unknown) => {
      log.error({ error: stackOf(error) }, 'Ended')
      process.exit(1)
    },
  )
}

function configOrExit(): ControllerConfig {
  try {
    return readConfig()
  } catch (error) {
    process.stderr.write(`swarmvirt controller: ${messageOf(error)}\n`)
    return process.exit(2)
  }
}

start()
