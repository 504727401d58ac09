import type { NodeView, SourcesView, VmView } from '../api/wire/controller-api.ts'

/**
 * The controller's API as a client sees it. Throws PortError: `Denied` for a wrong token or a certificate that is not the pinned one (then nothing
 * was sent), `Unavailable` without an answer or with one that is not the contract's.
 */
export interface ControllerApi {
  version(signal?: AbortSignal): Promise<{ readonly version: number; readonly release: string }>
  /** By name. */
  vms(signal?: AbortSignal): Promise<readonly VmView[]>
  /** Undefined where the controller knows no VM of this name. */
  vm(name: string, signal?: AbortSignal): Promise<VmView | undefined>
  nodes(signal?: AbortSignal): Promise<readonly NodeView[]>
  sources(signal?: AbortSignal): Promise<SourcesView>
}
