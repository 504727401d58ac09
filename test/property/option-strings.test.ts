import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { QemuInputs } from '../../runner/devices/inputs.ts'
import { disksOf } from '../../runner/launch-files.ts'
import { qemuArguments } from '../../runner/qemu-arguments.ts'
import { parseVirtualMachine, type VirtualMachine } from '../../src/api/manifest.ts'
import { launchConfig } from '../../src/api/wire/launch.ts'
import { inputsOf } from '../../src/reconcilers/services/inputs.ts'
import { aUid } from '../support/branded.ts'
import { hostileString } from './strings/hostile-strings.ts'
import { type Place, placesOfStrings, withString } from './strings/manifest-strings.ts'
import { placesOf } from './strings/qemu-options.ts'

/** `SWARMVIRT_STRING_RUNS=200000` makes a long run of it (docs/testing.md). */
const runs = Number(process.env['SWARMVIRT_STRING_RUNS'] ?? '3000')
const uid = aUid('11111111-1111-4111-8111-111111111111')

/** As on the way of a manifest: schema, launch config as JSON, the runner's schema, QEMU's arguments. */
function argumentsOf(vm: VirtualMachine): readonly string[] {
  const { launchText } = inputsOf({ cluster: 'lab', vm, uid })
  const launch = launchConfig.parse(JSON.parse(launchText))
  const disks = vm.spec.disks.map(({ name, size }) => ({ name, sizeBytes: size ?? 1024 }))
  const identity = { version: 1 as const, uid, vm: vm.metadata.name, cluster: 'lab', machineType: 'pc-q35-10.0', createdAt: '', disks }
  const inputs = {
    ...launch,
    cpu: { cores: launch.cores, ...pick(launch, 'sockets', 'threads'), model: (launch as { cpuModel?: string }).cpuModel },
    machineType: identity.machineType,
    accelerator: 'tcg',
    kvmFd: undefined,
    disks: disksOf(launch, identity, (name) => `/vm/disks/${name}.qcow2`),
    nics: launch.nics.map(({ name, mac }, index) => ({
      nic: { name, tap: 'sv0', bridge: 'br0', mac, mtu: 1500 },
      fd: 6 + index,
      slot: 2 + index,
    })),
    seedPath: '/tmp/seed.iso',
    qmpFd: 3,
    serialFd: 4,
    agentFd: 5,
  }
  return qemuArguments(inputs as unknown as QemuInputs)
}

function pick(from: object, ...keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(from).filter(([key]) => keys.includes(key)))
}

function parsed(document: unknown): VirtualMachine | undefined {
  const result = parseVirtualMachine(document, { name: classOf(document), spec: { memory: '1Gi' } })
  return result.ok ? result.vm : undefined
}

/** A class of whatever name the document has. */
function classOf(document: unknown): string {
  return (document as { spec?: { class?: string } }).spec?.class ?? 'small'
}

/** Every value of every argument, by its place. */
function shapeOf(args: readonly string[]): ReadonlyMap<string, string> {
  // QEMU gives this one to the kernel as it stands.
  const valuesOf = (one: string, index: number): Iterable<readonly [string, string]> =>
    args[index - 1] === '-append' ? [['text', one]] : placesOf(one)
  return new Map(args.flatMap((one, index) => [...valuesOf(one, index)].map(([place, value]) => [`${index} ${place}`, value] as const)))
}

const places = placesOfStrings()
const original = new Map(places.map((place) => [place.document, parsed(place.document)]))

/** Undefined if QEMU reads the text as data, or never gets it. */
function whatIsWrong(place: Place, text: string, how: 'instead' | 'behind'): string | undefined {
  const before = original.get(place.document)
  const after = parsed(withString(place, (old) => (how === 'instead' ? text : `${old}${text}`)))
  if (before === undefined || after === undefined) return undefined
  const [old, now] = [shapeOf(argumentsOf(before)), shapeOf(argumentsOf(after))]
  if ([...old.keys()].join('\n') !== [...now.keys()].join('\n')) return 'the text added or removed an option'
  const changed = [...now].filter(([key, value]) => old.get(key) !== value).map(([, value]) => value)
  const isControl = changed.find((value) => /[\p{Cc}\p{Cf}]/u.test(value))
  return isControl === undefined ? undefined : `an option has a control character: ${JSON.stringify(isControl)}`
}

it(
  'no string of a manifest adds, removes or changes an option of QEMU but its own value',
  () => {
    let accepted = 0
    expect(places.length).toBeGreaterThan(50)
    expect([...original.values()].filter((one) => one === undefined)).toEqual([])
    fc.assert(
      fc.property(fc.constantFrom(...places), hostileString, fc.constantFrom('instead', 'behind'), (place, text, how) => {
        if (parsed(withString(place, (old) => (how === 'instead' ? text : `${old}${text}`))) !== undefined) accepted += 1
        expect(whatIsWrong(place, text, how)).toBeUndefined()
      }),
      { numRuns: runs, seed: 1 },
    )
    // A schema that rejects everything would prove nothing.
    expect(accepted).toBeGreaterThan(runs / 100)
    process.stdout.write(`${runs} strings, ${accepted} accepted by the schema\n`)
  },
  Math.max(60_000, runs * 20),
)
