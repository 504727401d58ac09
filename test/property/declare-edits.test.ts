import fc from 'fast-check'
import { expect, test } from 'vitest'
import { manifestReader } from '../../src/adapters/manifest/manifest-yaml.ts'
import { type TestStore, aStore } from '../unit/controller/a-store.ts'
import type { OwnedVm } from '../../src/controller/declarations/state.ts'
import type { ReadDocument, SourceSnapshot } from '../../src/api/manifest/source-documents.ts'
import { virtualClock } from '../unit/controller/virtual-clock.ts'

const names = ['db', 'web', 'mail']
const macs = ['auto', '52:54:00:aa:00:01', '52:54:00:aa:00:02']
const read = manifestReader()

interface Vm {
  readonly name: string
  readonly memory: number
  readonly mac: string
  readonly className: boolean
  readonly broken: boolean
  /** Says the same in other bytes. */
  readonly comment: boolean
}
/** One file as it stands; one without documents is gone. */
type File = readonly Vm[]

const vm: fc.Arbitrary<Vm> = fc.record({
  // A file may come to hold another VM.
  name: fc.constantFrom(...names),
  memory: fc.constantFrom(64, 96, 128),
  mac: fc.constantFrom(...macs),
  className: fc.boolean(),
  broken: fc.constantFrom(true, false, false),
  comment: fc.boolean(),
})
const file: fc.Arbitrary<File> = fc.oneof({ weight: 5, arbitrary: fc.tuple(vm) }, { weight: 2, arbitrary: fc.array(vm, { maxLength: 2 }) })

const known = new Map<string, readonly ReadDocument[]>()

/** Bytes that did not change give the same objects, as the adapter does it. */
function documentsOf(place: number, one: File): readonly ReadDocument[] {
  const text = one.map(textOf).join('---\n')
  const key = `${place} ${text}`
  const documents = known.get(key) ?? read('directory', `${place}.yaml`, new TextEncoder().encode(text))
  known.set(key, documents)
  return documents
}

function textOf(one: Vm): string {
  return `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: { name: ${one.name} }
spec:
  ${one.className ? 'class: small' : `memory: ${one.memory}Mi`}
  disks: [{ name: root, size: 64Mi, image: { source: images/a.qcow2 } }]
  networks: [{ name: lan, bridge: br0, mac: '${one.mac}' }]
${one.comment ? '# as it was\n' : ''}${one.broken ? '  nonsense: true\n' : ''}`
}

const smallClass = read(
  'directory',
  'class.yaml',
  new TextEncoder().encode(
    'apiVersion: swarmvirt.dev/v1alpha1\nkind: VirtualMachineClass\nmetadata: { name: small }\nspec: { cpu: { cores: 1 }, memory: 64Mi }\n',
  ),
)

function snapshotOf(files: readonly File[]): SourceSnapshot {
  const documents = [...smallClass, ...files.flatMap((one, place) => documentsOf(place, one))]
  return { source: 'directory', complete: true, message: '', documents }
}

/** All that anybody sees of it: not when a document was last seen, nor since when nothing is in force. */
function seenOf(store: TestStore): unknown {
  const { vms, issues, opaque, leaving } = store.state()
  const memories = [...vms].map(
    ([name, memory]) => [name, { ...memory, seenAtMs: undefined, inForceMs: memory.good && memory.inForceMs }] as const,
  )
  return { memories: new Map(memories), issues, opaque: [...opaque], leaving: [...leaving], snapshots: store.snapshots() }
}

const worlds: readonly ReadonlyMap<string, OwnedVm>[] = [
  new Map(),
  new Map([['web', { generation: undefined, source: 'directory', macs: [macs[1] ?? ''] }]]),
]

type Step =
  | { readonly place: number; readonly becomes: File }
  | { readonly place: number; readonly at: number; readonly change: Partial<Vm> }
  /** Before what the file holds, the same with a change. */
  | { readonly place: number; readonly before: Partial<Vm> }
  | { readonly world: number }

/** One field of one document; another line where a document before it got longer. */
const change: fc.Arbitrary<Partial<Vm>> = fc.oneof(
  ...(['memory', 'comment', 'mac', 'className', 'broken', 'name'] as const).map((key) => vm.map((one) => ({ [key]: one[key] }))),
)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ place: fc.nat(2), at: fc.nat(1), change }) },
  { weight: 2, arbitrary: fc.record({ place: fc.nat(2), becomes: file }) },
  { weight: 2, arbitrary: fc.record({ place: fc.nat(2), before: change }) },
  { weight: 1, arbitrary: fc.record({ world: fc.nat(worlds.length - 1) }) },
)

function changed(held: File, one: Exclude<Step, { readonly world: number }>): File {
  if ('before' in one) return [...held.slice(0, 1).map((each) => ({ ...each, ...one.before })), ...held]
  return 'becomes' in one ? one.becomes : held.map((each, at) => (at === one.at ? { ...each, ...one.change } : each))
}

test('edits that hints name are declared as a read of everything declares them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.tuple(file, file, file), fc.array(step, { maxLength: 12 }), async (begun, steps) => {
      const clock = virtualClock()
      const settings = { sources: 1, removalGraceMs: 600_000, cluster: 'lab' }
      const [edited, whole] = [aStore(settings, clock), aStore(settings, clock)]
      const files = [...begun]
      const fold = (kind: 'whole' | 'hinted'): readonly string[][] =>
        [
          edited.fold(snapshotOf(files), kind === 'hinted' ? { kind } : undefined).toSorted(),
          whole.fold(snapshotOf(files)).toSorted(),
        ] as string[][]
      for (const store of [edited, whole]) store.setOwnedVms(worlds[0] ?? new Map())
      fold('whole')
      for (const one of steps) {
        await clock.pass(1_000)
        if ('world' in one) for (const store of [edited, whole]) store.setOwnedVms(worlds[one.world] ?? new Map())
        else files[one.place] = changed(files[one.place] ?? [], one)
        const [some, all] = fold('hinted')
        expect(some).toEqual(all)
        expect(seenOf(edited)).toEqual(seenOf(whole))
      }
    }),
    { numRuns: 500 },
  )
})
