import type { NodeView, SourcesView, VmView } from '../api/wire/controller-api.ts'

/** The data of the controller's API and metrics. Every call answers immediately from memory. */
export interface StatusView {
  vms(): readonly VmView[]
  vm(name: string): VmView | undefined
  /**
   * Calls back with the name of each VM whose view may have changed or is gone. Merges changes within a short time. Returns a function that
   * stops it.
   */
  onChange(listener: (name: string) => void): () => void
  nodes(): readonly NodeView[]
  sources(): SourcesView
  /** The first complete pass over nodes, manifests and VMs is done; `message` says what is missing. */
  ready(): { readonly ok: boolean; readonly message: string }
}
