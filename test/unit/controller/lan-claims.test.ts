import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import { deterministicMac, type Mac } from '../../../src/api/mac.ts'
import { aStore, type TestStore } from './a-store.ts'
import type { OwnedVm } from '../../../src/controller/declarations/state.ts'
import { lanClaims } from '../../../src/api/manifest/lan-claims.ts'
import type { ReadDocument } from '../../../src/api/manifest/source-documents.ts'
import { type VirtualClock, virtualClock } from './virtual-clock.ts'
import { aMac, aVmName } from '../../support/branded.ts'

const graceMs = 60_000
/** For so long a guest may still have what nobody claims and nothing in the Swarm shows. */
const leavingMs = 140_000
const cluster = 'lab'
const [macA, macB] = [aMac('52:54:00:aa:00:01'), aMac('52:54:00:aa:00:02')]
const read = manifestReader()
const known = new Map<string, readonly ReadDocument[]>()

function web(name: string, nic: string): readonly ReadDocument[] {
  const text = `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: { name: ${name} }
spec:
  memory: 64Mi
  disks: [{ name: root, size: 64Mi, image: { source: images/a.qcow2 } }]
  networks: [{ name: lan, bridge: br0${nic === '' ? '' : `, ${nic}`} }]
`
  const documents = known.get(text) ?? read('directory', `${name}.yaml`, new TextEncoder().encode(text))
  known.set(text, documents)
  return documents
}

interface Bench {
  readonly store: TestStore
  readonly clock: VirtualClock
  readonly read: (...documents: (readonly ReadDocument[])[]) => void
  /** The accepted MAC of the first NIC, or the kind of the declaration. */
  readonly mac: (name: string) => string
}

function bench(world: ReadonlyMap<string, OwnedVm> | 'unread' = new Map()): Bench {
  const clock = virtualClock()
  const store = aStore({ sources: 1, removalGraceMs: graceMs, cluster }, clock)
  if (world !== 'unread') store.setOwnedVms(world)
  return {
    store,
    clock,
    read: (...documents) => void store.fold({ source: 'directory', complete: true, message: '', documents: documents.flat() }),
    mac(name) {
      const declared = store.get(name)
      return declared.kind === 'present' ? (declared.vm.spec.networks[0]?.mac ?? '') : declared.kind
    },
  }
}

function owned(document: readonly ReadDocument[], macs?: readonly Mac[]): OwnedVm {
  const [one] = document
  const generation = one?.ok === true && 'vm' in one ? one.generation : undefined
  return { generation, source: 'directory', ...(macs === undefined ? {} : { macs }) }
}

describe('a MAC that two VMs claim', () => {
  it('stays with the VM that has it; the later one is reported at its own MAC and not created', () => {
    const { store, read, mac } = bench()
    read(web('b', `mac: ${macA}`))
    read(web('a', `mac: ${macA}`), web('b', `mac: ${macA}`))
    expect([mac('a'), mac('b')]).toEqual(['unknown', macA])
    expect(store.valid('b')).toMatchObject({ status: 'True', reason: 'Accepted' })
    expect(store.valid('a')).toMatchObject({ status: 'False', reason: 'ManifestInvalid' })
    expect(store.valid('a').message).toBe(`error[VM031]: MAC ${macA} belongs to VM "b" (b.yaml:1)
 --> a.yaml:7:45
6 |   disks: [{ name: root, size: 64Mi, image: { source: images/a.qcow2 } }]
7 |   networks: [{ name: lan, bridge: br0, mac: ${macA} }]
  |                                             ^^^^^^^^^^^^^^^^^
8 |
help: change the MAC of one VM; this document is accepted once VM "b" no longer uses it`)
    expect(store.state().issues).toMatchObject([{ code: 'VM031', file: 'a.yaml', line: 7, column: 45, sources: ['directory'] }])
  })

  it('is given to the first by file where nobody has it, whatever the order of the documents', () => {
    for (const order of [
      ['a', 'b'],
      ['b', 'a'],
    ]) {
      const { read, mac } = bench()
      read(...order.map((name) => web(name, `mac: ${macA}`)))
      expect([mac('a'), mac('b')]).toEqual([macA, 'unknown'])
    }
  })

  it('leaves the last good state of a VM in force that is edited to claim it, and other edits wait with it', () => {
    const { store, read, mac } = bench()
    read(web('a', `mac: ${macA}`), web('b', `mac: ${macB}`))
    read(web('a', `mac: ${macA}`), web('b', `mac: ${macA}`))
    expect([mac('a'), mac('b')]).toEqual([macA, macB])
    expect(store.valid('b').message).toContain('The last valid state stays in force.')
  })

  it('goes to the other one in the same read in which the first gives it up', () => {
    const { store, read, mac } = bench()
    read(web('a', `mac: ${macA}`), web('b', ''))
    read(web('a', `mac: ${macA}`), web('b', `mac: ${macA}`))
    read(web('a', `mac: ${macB}`), web('b', `mac: ${macA}`))
    expect([mac('a'), mac('b')]).toEqual([macB, macA])
    expect(store.state().issues).toEqual([])
  })

  it('can be exchanged for another', () => {
    const { read, mac } = bench()
    read(web('a', `mac: ${macA}`), web('b', `mac: ${macB}`))
    read(web('a', `mac: ${macB}`), web('b', `mac: ${macA}`))
    expect([mac('a'), mac('b')]).toEqual([macB, macA])
  })

  it('is not lost to a VM that is itself refused for something else', () => {
    const { read, mac } = bench()
    read(web('a', `mac: ${macA}`), web('b', `mac: ${macB}`), web('c', ''))
    // b gives up its MAC for that of a, and does not get it: c must not get that of b.
    read(web('a', `mac: ${macA}`), web('b', `mac: ${macA}`), web('c', `mac: ${macB}`))
    expect([mac('a'), mac('b'), mac('c')]).toEqual([macA, macB, 'auto'])
  })

  it('is free when nothing of a removed VM is left, and not before', async () => {
    const { store, clock, read, mac } = bench()
    const b = web('b', `mac: ${macA}`)
    read(web('a', `mac: ${macA}`), b)
    store.setOwnedVms(new Map([['a', owned(web('a', `mac: ${macA}`))]]))
    read(b)
    await clock.pass(graceMs)
    read(b)
    expect([store.get('a').kind, mac('b')]).toEqual(['removed', 'unknown'])
    store.setOwnedVms(new Map())
    store.forget('a')
    await clock.pass(leavingMs - 1)
    read(b)
    expect(mac('b')).toBe('unknown')
    await clock.pass(1)
    read(b)
    expect(mac('b')).toBe(macA)
  })

  it('stays with a guest that runs on with it while the edit of its VM waits for a restart', async () => {
    const { store, clock, read, mac } = bench()
    const [before, after] = [web('a', `mac: ${macA}`), web('a', `mac: ${macB}`)]
    read(before)
    store.setOwnedVms(new Map([['a', owned(before, [macA])]]))
    read(after, web('b', `mac: ${macA}`))
    expect([mac('a'), mac('b')]).toEqual([macB, 'unknown'])
    await clock.pass(100 * leavingMs)
    store.setOwnedVms(new Map([['a', owned(after, [macA])]]))
    expect([mac('a'), mac('b')]).toEqual([macB, 'unknown'])
    expect(store.valid('b').message).toContain(`error[VM031]: MAC ${macA} is still used by VM "a" (a.yaml:1)\n`)
    expect(store.valid('b').message).toContain('help: the guest of "a" may still use it: restart "a" if it reports RestartRequired.')
    store.setOwnedVms(new Map([['a', owned(after, [macB])]]))
    await clock.pass(leavingMs - 1)
    read(after, web('b', `mac: ${macA}`))
    expect(mac('b')).toBe('unknown')
    await clock.pass(1)
    read(after, web('b', `mac: ${macA}`))
    expect([mac('a'), mac('b')]).toEqual([macB, macA])
  })

  it('stays with a guest that was started with it as a static address, while the edit waits for a restart', async () => {
    const { store, clock, read, mac } = bench()
    const fixed = (host: number) => `ipv4: { address: 192.168.50.${host}/24 }`
    const [before, after, other] = [web('a', fixed(42)), web('a', fixed(43)), web('b', 'address: 192.168.50.42')]
    read(before)
    const runs = { ...owned(before, []), addresses: ['192.168.50.42'] }
    store.setOwnedVms(new Map([['a', runs]]))
    read(after, other)
    await clock.pass(100 * leavingMs)
    store.setOwnedVms(new Map([['a', { ...runs }]]))
    expect(mac('b')).toBe('unknown')
    expect(store.valid('b').message).toContain('address 192.168.50.42 is still used by VM "a"')
  })

  it('stays for as long with a VM that was declared with it, though the Swarm shows nothing of it yet', async () => {
    const { clock, read, mac } = bench()
    read(web('a', `mac: ${macA}`))
    await clock.pass(1_000)
    read(web('a', `mac: ${macB}`), web('b', `mac: ${macA}`))
    await clock.pass(leavingMs - 1)
    read(web('a', `mac: ${macB}`), web('b', `mac: ${macA}`))
    expect([mac('a'), mac('b')]).toEqual([macB, 'unknown'])
  })

  it('goes back to its own VM at any time', async () => {
    const { store, clock, read, mac } = bench()
    read(web('a', `mac: ${macA}`))
    store.setOwnedVms(new Map([['a', owned(web('a', `mac: ${macA}`), [macA])]]))
    await clock.pass(1_000)
    read(web('a', `mac: ${macB}`))
    await clock.pass(1_000)
    read(web('a', `mac: ${macA}`))
    expect(mac('a')).toBe(macA)
  })

  it('is refused also where the other VM has it by auto, named by the network that it follows from', () => {
    const { store, read, mac } = bench()
    const auto = deterministicMac(cluster, aVmName('a'), 'lan')
    read(web('a', ''), web('b', `mac: ${auto}`))
    expect([mac('a'), mac('b')]).toEqual(['auto', 'unknown'])
    const other = bench()
    other.read(web('b', `mac: ${auto}`))
    other.read(web('b', `mac: ${auto}`), web('a', ''))
    expect([other.mac('a'), other.mac('b')]).toEqual(['unknown', auto])
    expect(other.store.valid('a').message).toContain(
      `MAC ${auto}, which auto gives network "lan", belongs to VM "b" (b.yaml:1)\n --> a.yaml:7:`,
    )
    expect(store.valid('b').message).toContain('VM031')
  })
})

describe('an address that two VMs claim', () => {
  it('is refused like a MAC, at the address', () => {
    const { store, read, mac } = bench()
    read(web('a', 'address: 192.168.50.42'), web('b', 'address: 192.168.50.42'))
    expect([mac('a'), mac('b')]).toEqual(['auto', 'unknown'])
    expect(store.valid('b').message).toContain('error[VM031]: address 192.168.50.42 belongs to VM "a" (a.yaml:1)\n --> b.yaml:7:49\n')
  })
})

it('the other claims of a rejected VM go to the next VM that claims them', () => {
  const { store, read, mac } = bench()
  read(web('a', `mac: ${macA}`))
  read(web('a', `mac: ${macA}`), web('b', `mac: ${macA}, address: 10.0.0.1`), web('c', 'address: 10.0.0.1'))
  expect([mac('a'), mac('b'), mac('c')]).toEqual([macA, 'unknown', 'auto'])
  expect(store.state().issues.map((issue) => issue.file)).toEqual(['b.yaml'])
})

describe('after a restart', () => {
  it('the VM whose service was created from its manifest keeps it, whatever the order of the files', () => {
    const [a, b] = [web('a', `mac: ${macA}`), web('b', `mac: ${macA}`)]
    const { read, mac } = bench(new Map([['b', owned(b)]]))
    read(a, b)
    expect([mac('a'), mac('b')]).toEqual(['unknown', macA])
  })

  it('a VM that was refused before is refused again: what the Swarm shows of it is its last good state', () => {
    const [a, b] = [web('a', `mac: ${macA}`), web('b', `mac: ${macA}`)]
    const { read, mac } = bench(
      new Map([
        ['a', owned(web('a', `mac: ${macB}`))],
        ['b', owned(b)],
      ]),
    )
    read(a, b)
    expect([mac('a'), mac('b')]).toEqual(['unknown', macA])
  })

  it('a guest keeps it that runs with it, whatever its document says by now', () => {
    const [a, b] = [web('a', `mac: ${macB}`), web('b', `mac: ${macA}`)]
    const { read, mac } = bench(new Map([['a', owned(web('a', `mac: ${macA}`), [macA])]]))
    read(a, b)
    expect([mac('a'), mac('b')]).toEqual([macB, 'unknown'])
  })

  it('nobody is given a MAC by name before the Swarm has said whose guests have which', () => {
    const { store, read, mac } = bench('unread')
    read(web('a', `mac: ${macB}`), web('b', `mac: ${macA}`))
    expect([mac('a'), mac('b')]).toEqual(['unknown', 'unknown'])
    expect(store.valid('b').message).toBe(`MAC ${macA} may be in use by a guest: waiting for Swarm state to tell which VM has it`)
    store.setOwnedVms(new Map([['a', owned(web('a', `mac: ${macA}`), [macA])]]))
    expect([mac('a'), mac('b')]).toEqual([macB, 'unknown'])
  })

  it('nobody gets it before the Swarm was read, and nothing else waits for that', () => {
    const [a, b] = [web('a', `mac: ${macA}`), web('b', `mac: ${macA}`)]
    const { store, read, mac } = bench('unread')
    read(a, b, web('c', ''))
    expect([mac('a'), mac('b'), mac('c')]).toEqual(['unknown', 'unknown', 'auto'])
    expect(store.valid('a').message).toBe(`MAC ${macA} is claimed by "b" too; waiting for Swarm state to tell which VM has it`)
    expect(store.setOwnedVms(new Map([['b', owned(b)]]))).toEqual(['a', 'b'])
    expect([mac('a'), mac('b')]).toEqual(['unknown', macA])
  })
})

const names = ['a', 'b', 'c', 'd'] as const
const nics = [
  '',
  `mac: ${macA}`,
  `mac: ${macB}`,
  `mac: ${deterministicMac(cluster, aVmName('a'), 'lan')}`,
  `mac: ${macA}, address: 10.0.0.1`,
  'address: 10.0.0.1',
]
const step = fc.record({
  nics: fc.tuple(...names.map(() => fc.option(fc.constantFrom(...nics), { nil: undefined }))),
  shuffle: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
  waitMs: fc.constantFrom(0, 1_000, graceMs),
})

type Step = { readonly nics: readonly (string | undefined)[]; readonly shuffle: readonly number[]; readonly waitMs: number }

async function held(steps: readonly Step[], shuffled: boolean): Promise<string[]> {
  const { store, clock, read } = bench()
  const kept: string[] = []
  for (const one of steps) {
    await clock.pass(one.waitMs)
    const documents = names.map((name, index) => (one.nics[index] === undefined ? [] : web(name, one.nics[index])))
    read(...(shuffled ? one.shuffle.map((index) => documents[index] ?? []) : documents))
    for (const name of store.known()) if (store.get(name).kind === 'removed') store.forget(name)
    const present = names.flatMap((name) => {
      const declared = store.get(name)
      return declared.kind === 'present' ? lanClaims(declared.vm, cluster).map(({ key }) => ({ name, key })) : []
    })
    kept.push(present.map(({ name, key }) => `${name} ${key}`).join())
    expect(new Set(present.map(({ key }) => key)).size, kept.join('\n')).toBe(present.length)
  }
  return kept
}

describe('any history of documents', () => {
  it('never has two declared VMs with one MAC or one address, and the order in which they are read does not matter', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        expect(await held(steps, true)).toEqual(await held(steps, false))
      }),
      { numRuns: 150 },
    )
  })

  it('changes nothing when it is read again: rejected VMs stay rejected, and accepted ones accepted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), step, async (steps, one) => {
        const last = { ...one, waitMs: 0 }
        const kept = await held([...steps, one, last, last], false)
        expect(kept.at(-1)).toBe(kept.at(-3))
      }),
      { numRuns: 100 },
    )
  })
})

describe('a published port', () => {
  const natted = (name: string, ports: string): readonly ReadDocument[] =>
    read(
      'directory',
      `${name}.yaml`,
      new TextEncoder().encode(`apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: { name: ${name} }
spec:
  memory: 64Mi
  disks: [{ name: root, size: 64Mi, image: { source: images/a.qcow2 } }]
  networks: [{ name: lan, user: { ports: [${ports}] } }]
`),
    )

  it('belongs to the VM that has it, with its protocol, and is refused for another one', () => {
    const { store, read: fold } = bench()
    fold(natted('a', '{ name: dns, guest: 53, published: 5353 }'))
    fold(
      natted('a', '{ name: dns, guest: 53, published: 5353 }'),
      natted('b', '{ name: dns, guest: 53, published: 5353 }'),
      natted('c', '{ name: dns, guest: 53, published: 5353, protocol: udp }'),
    )
    expect(['a', 'b', 'c'].map((name) => store.get(aVmName(name)).kind)).toEqual(['present', 'unknown', 'present'])
  })
})
