import type { DisksView } from '../api/wire/disks.ts'
import type { DeclaredManifest, VmPlan } from '../api/wire/plan.ts'

/** Requests of the controller's API that need more than the cached status. */
export interface Inspection {
  /** A dry run, which only reads. Undefined if the VM is unknown. Throws PortError. */
  plan(name: string): Promise<VmPlan | undefined>
  /** Undefined if there is no valid manifest. */
  manifest(name: string): DeclaredManifest | undefined
  /** Asks every node. Rejects with PortError if Docker is not responding. */
  disks(): Promise<DisksView>
}
