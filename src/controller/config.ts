import { parseArgs } from 'node:util'
import { defaultControlKeyFile } from '../api/control-key.ts'
import { defaultStateRoot, maxStateRootBytes } from '../api/layout.ts'
import { clusterNamePattern } from '../api/names.ts'
import { controllerApiPort, controllerMetricsPort } from '../api/wire/controller-api.ts'
import type { ClusterSettings } from '../ports/settings.ts'

export interface ControllerConfig {
  readonly settings: ClusterSettings
  readonly docker: string
  readonly sources: readonly SourceName[]
  readonly manifests: string
  readonly watchPolling: boolean
  readonly controlNetwork: string
  readonly removalGraceMs: number
  readonly collectAfterMs: number
  readonly resyncMs: number
  readonly apiPort: number
  readonly metricsPort: number
  readonly controlKeyFile: string
  readonly apiKeyFile: string
  readonly apiCertFile: string
  readonly apiTokenFile: string
  readonly metricsTokenFile: string
  readonly logLevel: string
}

/** An optional Swarm secret. */
export const defaultMetricsTokenFile = '/run/secrets/swarmvirt-metrics-token'

const sourceNames = ['directory', 'configs'] as const
export type SourceName = (typeof sourceNames)[number]

interface Option {
  readonly fallback: string | undefined
  readonly help: string
}

/** Every option: `--name VALUE`, or SWARMVIRT_NAME in the environment; the command line wins. */
const options = {
  cluster: { fallback: undefined, help: 'name of this cluster; part of every MAC, never changes' },
  docker: { fallback: 'unix:///var/run/docker.sock', help: 'Docker endpoint of a manager: unix:///PATH or tcp://HOST:PORT' },
  sources: { fallback: 'directory,configs', help: 'where manifests come from: directory, configs (of the Swarm), or both' },
  manifests: { fallback: '/manifests', help: 'directory to watch' },
  'watch-polling': { fallback: 'false', help: 'poll the directory for hints (NFS)' },
  'software-emulation': { fallback: 'false', help: 'VMs may run without KVM' },
  'runner-image': { fallback: undefined, help: 'image of the VM tasks' },
  'guests-network': { fallback: 'swarmvirt-guests', help: 'overlay network of the VM tasks' },
  'user-network': { fallback: 'swarmvirt-user', help: 'network of the VM tasks with a NIC behind NAT' },
  'network-mode': { fallback: 'manifest', help: 'manifest, or user to put every NIC behind NAT at its next restart' },
  'control-network': { fallback: 'swarmvirt_control', help: 'overlay network of controller and agents' },
  'state-root': { fallback: defaultStateRoot, help: 'state directory of every node' },
  'memory-overhead-mib': {
    fallback: '16',
    help: 'the least memory beyond the guest’s for QEMU and the runner; a VM gets more if its machine needs it',
  },
  'removal-grace-s': { fallback: '60', help: 'seconds a manifest is absent before its VM is removed' },
  'collect-after-s': { fallback: '600', help: 'seconds a superseded config of docker vm apply is kept' },
  'resync-s': { fallback: '10', help: 'seconds between two complete resyncs' },
  'api-port': { fallback: String(controllerApiPort), help: 'status API (TLS, token)' },
  'metrics-port': { fallback: String(controllerMetricsPort), help: 'metrics and health' },
  'control-key-file': { fallback: defaultControlKeyFile, help: 'pre-shared keys of the control plane' },
  'api-key-file': { fallback: '/run/secrets/swarmvirt-api-key', help: 'TLS key of the API, PEM' },
  'api-cert-file': { fallback: '/run/secrets/swarmvirt-api-cert', help: 'TLS certificate of the API, PEM' },
  'api-token-file': { fallback: '/run/secrets/swarmvirt-api-token', help: 'bearer token of the API' },
  'metrics-token-file': {
    fallback: defaultMetricsTokenFile,
    help: 'bearer token of the metrics; they are open where the default file is missing',
  },
  'log-level': { fallback: 'info', help: 'debug, info, warn or error' },
} as const satisfies Record<string, Option>
type OptionName = keyof typeof options

/** Reads the command line and the environment. Throws an Error with a message for the operator. */
export function readConfig(argv: readonly string[] = process.argv.slice(2), env: NodeJS.ProcessEnv = process.env): ControllerConfig {
  const given = parseArgs({
    args: [...argv],
    options: Object.fromEntries(Object.keys(options).map((name) => [name, { type: 'string' as const }])),
  }).values
  const value = (name: OptionName): string => {
    const found = given[name] ?? env[environmentName(name)] ?? options[name].fallback
    if (typeof found !== 'string' || found === '') throw new Error(`--${name} (${environmentName(name)}) is missing: ${options[name].help}`)
    return found
  }
  return {
    settings: settingsOf(value),
    docker: value('docker'),
    sources: sourcesOf(value),
    manifests: value('manifests'),
    watchPolling: flag('watch-polling', value),
    controlNetwork: value('control-network'),
    removalGraceMs: number('removal-grace-s', value, 1, 86_400) * 1_000,
    collectAfterMs: number('collect-after-s', value, 0, 31_536_000) * 1_000,
    resyncMs: number('resync-s', value, 1, 3_600) * 1_000,
    apiPort: number('api-port', value, 1, 65_535),
    metricsPort: number('metrics-port', value, 1, 65_535),
    controlKeyFile: value('control-key-file'),
    apiKeyFile: value('api-key-file'),
    apiCertFile: value('api-cert-file'),
    apiTokenFile: value('api-token-file'),
    metricsTokenFile: value('metrics-token-file'),
    logLevel: oneOf('log-level', value, ['debug', 'info', 'warn', 'error']),
  }
}

function environmentName(name: string): string {
  return `SWARMVIRT_${name.toUpperCase().replaceAll('-', '_')}`
}

type Value = (name: OptionName) => string

function settingsOf(value: Value): ClusterSettings {
  const cluster = value('cluster')
  if (!clusterNamePattern.test(cluster)) throw new Error(`--cluster is "${cluster}", and must be 1 to 32 characters of a-z 0-9 -`)
  const stateRoot = value('state-root').replace(/\/+$/, '')
  if (!stateRoot.startsWith('/')) throw new Error(`--state-root is "${stateRoot}", and must be an absolute path`)
  if (Buffer.byteLength(stateRoot) > maxStateRootBytes) {
    throw new Error(`--state-root is longer than ${maxStateRootBytes} bytes, and sockets below it could not be bound`)
  }
  return {
    cluster,
    softwareEmulation: flag('software-emulation', value),
    runnerImage: value('runner-image'),
    guestsNetwork: value('guests-network'),
    userNetwork: value('user-network'),
    networkMode: oneOf('network-mode', value, ['manifest', 'user'] as const),
    stateRoot,
    memoryOverheadMiB: number('memory-overhead-mib', value, 16, 16_384),
  }
}

/** Each source once, in a fixed order. */
function sourcesOf(value: Value): readonly SourceName[] {
  const given = value('sources').split(',')
  const unknown = given.find((one) => !sourceNames.some((name) => name === one))
  if (unknown === undefined) return sourceNames.filter((name) => given.includes(name))
  throw new Error(`--sources has "${unknown}", and may have ${sourceNames.join(', ')}, with commas between them`)
}

function flag(name: OptionName, value: Value): boolean {
  return oneOf(name, value, ['true', 'false']) === 'true'
}

function oneOf<const Allowed extends string>(name: OptionName, value: Value, allowed: readonly Allowed[]): Allowed {
  const found = value(name)
  const known = allowed.find((one) => one === found)
  if (known !== undefined) return known
  throw new Error(`--${name} is "${found}", and must be one of ${allowed.join(', ')}`)
}

function number(name: OptionName, value: Value, least: number, most: number): number {
  const found = Number(value(name))
  if (Number.isInteger(found) && found >= least && found <= most) return found
  throw new Error(`--${name} is "${value(name)}", and must be an integer from ${least} to ${most}`)
}
