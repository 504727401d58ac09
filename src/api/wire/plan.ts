import type { Edit } from '../manifest/edits.ts'
import type { VirtualMachine } from '../manifest.ts'

/** `GET /api/v1/vms/<name>/plan`: what the next reconcile will do. Made from a look at the world; nothing is written and no node gets an order. */
export interface VmPlan {
  readonly name: string
  /** Why none of it is done now; null where it is. */
  readonly suspended: string | null
  readonly steps: readonly PlannedStep[]
  /** What the manifest has otherwise than what runs. User data and keys are named and not shown. */
  readonly edits: readonly Edit[]
  /** `now`: the steps bring the edits about. `restart`: they wait for one. Edits with the effect `destroys-data` wait for the manifest to allow them. */
  readonly editsTakeHold: 'now' | 'restart'
  /** What the VM waits for, or what must be changed by somebody; empty where nothing is. */
  readonly waitsFor: string
  /** What cannot be told without writing. */
  readonly unknown: readonly string[]
}

export interface PlannedStep {
  readonly verb: 'create' | 'change' | 'remove'
  /** `service vm-web`. */
  readonly object: string
  readonly why: string
  /** What becomes of the guest. */
  readonly guest: 'untouched' | 'starts' | 'stops' | 'restarts'
}

/** `GET /api/v1/vms/<name>/manifest`: what is declared and in force, defaults filled in and class applied; user data is `sha256:` and the hash of its text. */
export interface DeclaredManifest {
  readonly name: string
  readonly generation: string
  /** Manifest source it came from. */
  readonly source: string
  readonly manifest: VirtualMachine
}
