import type { Condition } from '../../api/conditions.ts'
import type { PortView, VmView } from '../../api/wire/controller-api.ts'
import { formatBytes } from '../../api/quantity.ts'
import { age } from '../output/age.ts'
import { eventText } from './events.ts'
import { printable } from '../output/outcome.ts'
import { aligned } from '../output/table.ts'
import { why } from './why.ts'

/** The steps from manifest to running VM, in order. */
const steps: readonly (readonly [step: string, text: string])[] = [
  ['manifest', 'manifest seen'],
  ['placed', 'placed'],
  ['assets', 'image, disks and seed ready'],
  ['service', 'service created'],
  ['task', 'task runs'],
  ['guest', 'guest runs'],
  ['link', 'attached to the bridge'],
  ['address', 'address learned'],
  ['reachable', 'reached by another node'],
  ['ready', 'ready'],
]

/** `docker vm events NAME` shows all events. */
const shownEvents = 50

/** Formats everything that the controller reports about one VM. */
export function describeVm(vm: VmView, nowMs: number): string {
  const reason = why(vm)
  const parts = [
    pairs(vm),
    `${printable(reason.sentence)}\n${reason.next === undefined ? '' : `Next:  ${printable(reason.next)}\n`}`,
    section('Networks', nicLines(vm, nowMs)),
    section('Conditions', conditionLines(vm.conditions, nowMs)),
    section('Timeline', timelineLines(vm)),
    section(
      'Events',
      vm.events.slice(-shownEvents).map((event) => [age(event.time, nowMs), event.type, event.status, event.reason, eventText(event)]),
    ),
  ]
  return parts.filter((part) => part !== '').join('\n')
}

function pairs(vm: VmView): string {
  const labels = Object.entries(vm.labels).map(([key, value]) => `${key}=${value}`)
  const upToDate = vm.generation === vm.observedGeneration ? 'applied' : `last applied: ${vm.observedGeneration || 'none'}`
  const rows: readonly (readonly [string, string])[] = [
    ['Name', vm.name],
    ['Phase', vm.phase],
    ['Manifest', vm.declared === 'present' ? 'found' : vm.declared],
    ['Generation', vm.generation === '' ? '' : `${vm.generation} (${upToDate})`],
    ['Labels', labels.join(', ')],
    ['CPUs', String(vm.spec?.cores ?? '')],
    ['Memory', vm.spec === undefined ? '' : formatBytes(vm.spec.memoryBytes)],
    [
      'Disks',
      (vm.spec?.disks ?? [])
        .map((disk) => `${disk.name} ${formatBytes(disk.sizeBytes)} ${disk.image === '' ? 'blank' : `from ${disk.image}`}`)
        .join(', '),
    ],
    ...['node', 'ip', 'ssh', 'mac', 'accelerator', 'uid', 'createdAt'].map((fact) => [titles[fact] ?? fact, vm.facts[fact] ?? ''] as const),
  ]
  return aligned(rows.map(([key, value]) => [`${key}:`, value]))
}

const titles: Readonly<Record<string, string>> = {
  node: 'Node',
  ip: 'Address',
  ssh: 'SSH',
  mac: 'MAC',
  accelerator: 'Accelerator',
  uid: 'UID',
  createdAt: 'Created',
}

function parentText(kind: string | undefined, bridge: string): string {
  if (kind === 'user') return 'NAT'
  return kind === 'direct' ? `${bridge} (direct)` : bridge
}

/** A controller of release 0.1 reports no NICs. */
function nicLines({ nics = [] }: VmView, nowMs: number): string[][] {
  return nics.map(({ name, bridge, kind, ports = [], mac, mtu, address, seenAt }) => [
    name,
    parentText(kind, bridge),
    mac,
    kind === 'user' ? ports.map(portText).join(', ') : (address ?? ''),
    seenAt === undefined ? '' : `seen ${age(seenAt, nowMs)} ago`,
    ...(mtu === undefined ? [] : [`MTU ${mtu}`]),
  ])
}

/** `ssh 10042→22/tcp`; without a published port `web 80/tcp`. */
function portText({ name, guest, published, protocol }: PortView): string {
  return `${name} ${published === undefined ? '' : `${published}→`}${guest}/${protocol}`
}

function conditionLines(conditions: readonly Condition[], nowMs: number): string[][] {
  return conditions.map(({ type, status, reason, message, lastTransitionTime }) => [
    type,
    status,
    reason,
    age(lastTransitionTime, nowMs),
    firstLine(message),
  ])
}

/** Each step with the seconds since the manifest was found, and since the previous step. */
function timelineLines({ timeline }: VmView): string[][] {
  let before = 0
  return steps.flatMap(([step, text]) => {
    const at = timeline[step]
    if (at === undefined) return []
    const line = [text, `${(at / 1000).toFixed(1)} s`, step === 'manifest' ? '' : `+${(Math.max(0, at - before) / 1000).toFixed(1)} s`]
    before = Math.max(before, at)
    return [line]
  })
}

function section(title: string, lines: readonly (readonly string[])[]): string {
  if (lines.length === 0) return ''
  return `${title}:\n${aligned(lines).replaceAll(/^(?=.)/gm, '  ')}`
}

function firstLine(message: string): string {
  return message.split('\n')[0] ?? ''
}
