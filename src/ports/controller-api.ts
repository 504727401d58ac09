import type { NodeView, SourcesView, VmView } from '../api/wire/controller-api.ts'
import type { DisksView } from '../api/wire/disks.ts'
import type { DeclaredManifest, VmPlan } from '../api/wire/plan.ts'
import type { PowerVerb } from '../api/power-verbs.ts'
import type { PowerAnswer, RemovalConfirmation, SuspensionAnswer } from './controller-actions.ts'

export type VmChange =
  | { readonly kind: 'vm'; readonly vm: VmView }
  /** All VMs that existed when the watch began have been sent. */
  | { readonly kind: 'synced' }
  | { readonly kind: 'gone'; readonly name: string }

/**
 * The controller's API for a client. Throws PortError: `Denied` for a wrong token or a certificate that is not the pinned one (then nothing
 * was sent), `Unavailable` without a valid answer.
 */
export interface ControllerApi {
  version(signal?: AbortSignal): Promise<{ readonly version: number; readonly release: string }>
  /** Sorted by name. */
  vms(signal?: AbortSignal): Promise<readonly VmView[]>
  /** Undefined if the controller does not know the VM. */
  vm(name: string, signal?: AbortSignal): Promise<VmView | undefined>
  /** Every VM, then each change. A watch only ends with an error, when the controller or the connection ends it. */
  watchVms(signal?: AbortSignal): AsyncIterable<VmChange>
  nodes(signal?: AbortSignal): Promise<readonly NodeView[]>
  /** Asks every node. */
  disks(signal?: AbortSignal): Promise<DisksView>
  sources(signal?: AbortSignal): Promise<SourcesView>
  /** Resolves when the controller has received the request, not when it has read the manifests. */
  reload(signal?: AbortSignal): Promise<void>
  confirmRemoval(names: readonly string[], signal?: AbortSignal): Promise<RemovalConfirmation>
  suspend(name: string, signal?: AbortSignal): Promise<SuspensionAnswer>
  resume(name: string, signal?: AbortSignal): Promise<SuspensionAnswer>
  power(name: string, verb: PowerVerb, signal?: AbortSignal): Promise<PowerAnswer>
  /** Resolves when the controller has received the request; false if it does not know the VM. */
  reconcile(name: string, signal?: AbortSignal): Promise<boolean>
  /** Undefined if the controller does not know the VM. */
  plan(name: string, signal?: AbortSignal): Promise<VmPlan | undefined>
  /** The accepted manifest; undefined if there is none. */
  manifest(name: string, signal?: AbortSignal): Promise<DeclaredManifest | undefined>
}
