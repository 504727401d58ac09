import type { NodeFacts, PrepareOrder } from '../api/wire/agent-api.ts'
import type { AcceleratorInUse } from '../api/wire/common.ts'

export interface AccelerationFacts {
  readonly kvm: NodeFacts['kvm']
  readonly tcg: NodeFacts['tcg']
  /** Accelerator of the VM's last grant. Undefined if it has none. */
  readonly existing: AcceleratorInUse | undefined
  /** Whether a runner holds the VM's lease. `unknown` while the broker is not connected. */
  readonly lease: 'held' | 'free' | 'unknown'
}

export type GrantChoice =
  /** `emulationReason` says why the VM gets TCG instead of KVM. Empty for KVM, and if the order requests TCG. */
  | { readonly kind: 'granted'; readonly accelerator: AcceleratorInUse; readonly emulationReason: string }
  | { readonly kind: 'preparing'; readonly reason: string; readonly message: string }
  | { readonly kind: 'failed'; readonly reason: string; readonly message: string }

/** Resolves `kvm | tcg | auto` to the accelerator of this VM on this node. Does not change the accelerator of a VM that may be running. */
export function chooseAccelerator(order: Pick<PrepareOrder, 'accelerator' | 'softwareEmulation'>, facts: AccelerationFacts): GrantChoice {
  if (facts.existing !== undefined && facts.lease !== 'free') return granted(facts.existing, order, facts)
  switch (order.accelerator) {
    case 'tcg':
      return emulate(order, facts)
    case 'kvm':
      return withKvm(order, facts) ?? failed('KvmUnusable', unusable(facts))
    case 'auto':
      return (
        withKvm(order, facts) ??
        (order.softwareEmulation
          ? emulate(order, facts)
          : failed('KvmUnusable', `${unusable(facts)}, and the cluster does not allow software emulation`))
      )
  }
}

function withKvm(order: Pick<PrepareOrder, 'accelerator'>, facts: AccelerationFacts): GrantChoice | undefined {
  if (facts.kvm.state === 'works') return granted('kvm', order, facts)
  if (facts.kvm.state === 'pending')
    return { kind: 'preparing', reason: 'KvmProbing', message: facts.kvm.message || 'the KVM probe is running on this node' }
  return undefined
}

function emulate(order: Pick<PrepareOrder, 'accelerator' | 'softwareEmulation'>, facts: AccelerationFacts): GrantChoice {
  if (!order.softwareEmulation) {
    return failed(
      'SoftwareEmulationNotAllowed',
      'the manifest has accelerator: tcg, but the cluster does not allow software emulation; set accelerator: auto or kvm',
    )
  }
  if (!facts.tcg.works && facts.kvm.state === 'pending')
    return { kind: 'preparing', reason: 'KvmProbing', message: 'the QEMU probe is running on this node' }
  if (!facts.tcg.works) return failed('TcgUnusable', `QEMU does not run on this node even without KVM: ${facts.tcg.message}`)
  return granted('tcg', order, facts)
}

function granted(accelerator: AcceleratorInUse, order: Pick<PrepareOrder, 'accelerator'>, facts: AccelerationFacts): GrantChoice {
  return { kind: 'granted', accelerator, emulationReason: accelerator === 'tcg' && order.accelerator !== 'tcg' ? whyEmulated(facts) : '' }
}

function whyEmulated(facts: AccelerationFacts): string {
  return facts.kvm.state === 'works' ? 'KVM works on this node now; the VM uses it after its next start' : unusable(facts)
}

function unusable(facts: AccelerationFacts): string {
  return facts.kvm.reason === '' ? facts.kvm.message : `${facts.kvm.reason}: ${facts.kvm.message}`
}

function failed(reason: string, message: string): GrantChoice {
  return { kind: 'failed', reason, message }
}
