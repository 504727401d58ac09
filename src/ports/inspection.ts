import type { DisksView } from '../api/wire/disks.ts'
import type { DeclaredManifest, VmPlan } from '../api/wire/plan.ts'

/** What the controller's API tells beyond the status that it holds. */
export interface Inspection {
  /** Looks at the world and writes nothing. Undefined where no VM of this name is known. Rejects with PortError. */
  plan(name: string): Promise<VmPlan | undefined>
  /** Undefined where nothing valid is declared. */
  manifest(name: string): DeclaredManifest | undefined
  /** Asks every node. Rejects with PortError where Docker does not answer. */
  disks(): Promise<DisksView>
}
