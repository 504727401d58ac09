import { expect, test } from 'vitest'
import { type AccelerationFacts, chooseAccelerator } from '../../../src/agent/grant-choice.ts'

type Order = Parameters<typeof chooseAccelerator>[0]
const works = { state: 'works', reason: '', message: '' } as const
const hangs = { state: 'unusable', reason: 'KvmHangs', message: 'it hung' } as const
const pending = { state: 'pending', reason: '', message: '' } as const

const facts = (change: Partial<AccelerationFacts> = {}): AccelerationFacts => ({
  kvm: works,
  tcg: { works: true, message: '' },
  existing: undefined,
  lease: 'free',
  ...change,
})
const order = (accelerator: Order['accelerator'], softwareEmulation = true): Order => ({ accelerator, softwareEmulation })

test.each([
  [order('auto'), facts(), 'kvm', ''],
  [order('kvm'), facts(), 'kvm', ''],
  [order('tcg'), facts(), 'tcg', ''],
  [order('auto'), facts({ kvm: hangs }), 'tcg', 'KvmHangs: it hung'],
  [order('tcg'), facts({ kvm: pending }), 'tcg', ''],
  [order('auto'), facts({ existing: 'tcg' }), 'kvm', ''],
  [order('auto'), facts({ existing: 'tcg', lease: 'held' }), 'tcg', 'KVM works on this node now; the VM uses it after its next start'],
  [order('auto'), facts({ existing: 'tcg', lease: 'unknown' }), 'tcg', 'KVM works on this node now; the VM uses it after its next start'],
  [order('kvm'), facts({ existing: 'kvm', lease: 'held', kvm: hangs }), 'kvm', ''],
  [order('auto'), facts({ existing: 'kvm', lease: 'held', kvm: pending }), 'kvm', ''],
])('A VM is granted what it asks for and the node can do, and keeps what it runs with (%#)', (order, facts, accelerator, why) => {
  expect(chooseAccelerator(order, facts)).toEqual({
    kind: 'granted',
    accelerator,
    emulationReason: why,
  })
})

test.each([
  [order('kvm'), facts({ kvm: hangs }), 'failed', 'KvmUnusable', 'it hung'],
  [order('auto', false), facts({ kvm: hangs }), 'failed', 'KvmUnusable', 'does not allow software emulation'],
  [order('tcg', false), facts(), 'failed', 'SoftwareEmulationNotAllowed', ''],
  [order('tcg'), facts({ tcg: { works: false, message: 'no QEMU' } }), 'failed', 'TcgUnusable', 'no QEMU'],
  [order('auto'), facts({ kvm: pending }), 'preparing', 'KvmProbing', ''],
  [order('kvm'), facts({ kvm: pending }), 'preparing', 'KvmProbing', ''],
])('A VM that cannot have the requested accelerator gets the reason (%#)', (order, facts, kind, reason, message) => {
  expect(chooseAccelerator(order, facts)).toMatchObject({ kind, reason, message: expect.stringContaining(message) })
})
