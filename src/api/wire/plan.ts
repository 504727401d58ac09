import type { Edit } from '../manifest/edits.ts'
import type { VirtualMachine } from '../manifest.ts'

/** `GET /api/v1/vms/<name>/plan`: what the next reconcile will do. A dry run that only reads; no node gets an order. */
export interface VmPlan {
  readonly name: string
  /** Why no changes are made now; null if the VM is not suspended. */
  readonly suspended: string | null
  readonly steps: readonly PlannedStep[]
  /** Differences between the manifest and the running VM. User data and keys are listed without their values. */
  readonly edits: readonly Edit[]
  /** `now`: the steps apply the edits. `restart`: they wait for a restart. Edits with the effect `destroys-data` wait for the manifest to allow them. */
  readonly editsTakeHold: 'now' | 'restart'
  /** QEMU takes `live` edits of this VM. Absent for one that release 0.1 started: they wait for a restart. */
  readonly liveEdits?: true
  /** The condition that the VM waits for, or that a user must change; empty if none. */
  readonly waitsFor: string
  /** Facts that the node's agent does not report, because it is not responding or is of release 0.1. */
  readonly unknown: readonly string[]
}

export interface PlannedStep {
  readonly verb: 'create' | 'change' | 'remove'
  /** For example `service vm-web`. */
  readonly object: string
  readonly why: string
  /** The effect on the guest. */
  readonly guest: 'untouched' | 'starts' | 'stops' | 'restarts'
}

/** `GET /api/v1/vms/<name>/manifest`: the accepted manifest with defaults and class. User data is replaced by `sha256:` and its hash. */
export interface DeclaredManifest {
  readonly name: string
  readonly generation: string
  /** Manifest source it came from. */
  readonly source: string
  readonly manifest: VirtualMachine
}
