import { isIP } from 'node:net'
import { parseArgs } from 'node:util'
import { defaultStateRoot, maxStateRootBytes } from '../api/layout.ts'
import { interfaceNamePattern } from '../api/names.ts'
import type { Limits } from './grants.ts'

export type BrokerCommand =
  /**
   * `protect`: addresses and networks of other nodes. Guests cannot reach a node's own ports there. `userNetwork`: the interface of the user
   * network, if this node has one.
   */
  | {
      readonly kind: 'serve'
      readonly stateRoot: string
      readonly limits: Limits
      readonly protect: readonly string[]
      readonly userNetwork: string | undefined
      /** Allow forwarding on allowed bridges where the firewall of the host drops it. */
      readonly fixForward: boolean
    }
  | { readonly kind: 'powerOffAll'; readonly stateRoot: string; readonly timeoutMs: number }
  | { readonly kind: 'powerOnAll'; readonly stateRoot: string }

/** The command line is invalid. The message is for the person who typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const usage = `usage: broker [--state-root DIR] [--allow-bridge NAME]... [--enable-direct --allow-device NAME...] [--mac-prefix 52:54:00]
              [--protect ADDRESS[/BITS]]... [--user-network INTERFACE] [--fix-forward]
       broker power-off-all [--state-root DIR] [--timeout SECONDS]
       broker power-on-all [--state-root DIR]`

const macPrefixPattern = /^[0-9a-f]{2}(:[0-9a-f]{2}){0,4}$/
const defaultTimeoutSeconds = 120
/** The limit of the wire schema. */
const maxTimeoutSeconds = 3_600

/** `SWARMVIRT_STATE_ROOT` is the default of --state-root, so that `docker exec … power-off-all` finds the broker of the same container. */
export function parseBrokerCommand(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): BrokerCommand {
  const { values, positionals } = parsed(argv)
  const stateRoot = checkedRoot(values['state-root'] ?? env['SWARMVIRT_STATE_ROOT'] ?? defaultStateRoot)
  const [command, ...others] = positionals
  if (values.timeout !== undefined && command !== 'power-off-all') throw new UsageError('--timeout is only valid for power-off-all')
  if (command === undefined) {
    const devices = directDevices(values['enable-direct'] === true, values['allow-device'] ?? [])
    const limits = { ...limitsOf(values['allow-bridge'] ?? ['br0'], values['mac-prefix'] ?? '52:54:00'), devices }
    return {
      kind: 'serve',
      stateRoot,
      limits,
      protect: (values.protect ?? []).map(checkedNetwork),
      userNetwork: checkedInterface(values['user-network']),
      fixForward: values['fix-forward'] === true,
    }
  }
  if (command === 'power-on-all' && others.length === 0) return { kind: 'powerOnAll', stateRoot }
  if (command !== 'power-off-all' || others.length > 0) throw new UsageError(`unknown command ${positionals.join(' ')}`)
  return { kind: 'powerOffAll', stateRoot, timeoutMs: timeoutMsOf(values.timeout ?? String(defaultTimeoutSeconds)) }
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        'state-root': { type: 'string' },
        'allow-bridge': { type: 'string', multiple: true },
        'enable-direct': { type: 'boolean' },
        'fix-forward': { type: 'boolean' },
        'allow-device': { type: 'string', multiple: true },
        'mac-prefix': { type: 'string' },
        protect: { type: 'string', multiple: true },
        'user-network': { type: 'string' },
        timeout: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function checkedRoot(root: string): string {
  if (!root.startsWith('/') || root.endsWith('/') || root.split('/').includes('..'))
    throw new UsageError(`--state-root ${root} must be an absolute path without a trailing slash or ".."`)
  if (Buffer.byteLength(root) > maxStateRootBytes)
    throw new UsageError(`--state-root is over ${maxStateRootBytes} bytes: the sockets below it could not be bound`)
  return root
}

/** One of the two options alone is probably a mistake, and would silently allow nothing. */
function directDevices(isEnabled: boolean, devices: readonly string[]): readonly string[] {
  for (const device of devices)
    if (!interfaceNamePattern.test(device)) throw new UsageError(`--allow-device ${device} is not an interface name`)
  if (isEnabled && devices.length === 0) throw new UsageError('--enable-direct needs at least one --allow-device NAME')
  if (!isEnabled && devices.length > 0) throw new UsageError('--allow-device needs --enable-direct')
  return [...new Set(devices)]
}

function limitsOf(bridges: readonly string[], macPrefix: string): Omit<Limits, 'devices'> {
  for (const bridge of bridges)
    if (!interfaceNamePattern.test(bridge)) throw new UsageError(`--allow-bridge ${bridge} is not an interface name`)
  const prefix = macPrefix.toLowerCase()
  if (!macPrefixPattern.test(prefix)) throw new UsageError(`--mac-prefix ${macPrefix} must have one to five octets, such as 52:54:00`)
  if ((Number.parseInt(prefix.slice(0, 2), 16) & 1) === 1) throw new UsageError(`--mac-prefix ${macPrefix} is a multicast prefix`)
  return { bridges: [...new Set(bridges)], macPrefix: prefix }
}

function checkedInterface(name: string | undefined): string | undefined {
  if (name !== undefined && !interfaceNamePattern.test(name)) throw new UsageError(`--user-network ${name} is not an interface name`)
  return name
}

function checkedNetwork(network: string): string {
  const [, address = '', bits] = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(network) ?? []
  const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  if (most === -1 || Number(bits ?? most) > most)
    throw new UsageError(`--protect ${network} is not an IP address or a network such as 10.0.0.0/24`)
  return network
}

function timeoutMsOf(text: string): number {
  const seconds = Number(text)
  if (!/^\d+$/.test(text) || seconds > maxTimeoutSeconds)
    throw new UsageError(`--timeout ${text} must be a number of seconds from 0 to ${maxTimeoutSeconds}`)
  return seconds * 1000
}
