/** Cluster-wide settings, from the controller's configuration. */
export interface ClusterSettings {
  /** Part of every MAC; fixed for the life of a cluster. */
  readonly cluster: string
  /** VMs may run under TCG, and a node without usable KVM is still `vm-capable`. */
  readonly softwareEmulation: boolean
  /** Image reference of the runner for services that are created or changed from now on. */
  readonly runnerImage: string
  /** The overlay network that runners join. */
  readonly guestsNetwork: string
  readonly stateRoot: string
  /** Memory added to the guest's for QEMU and the runner, in MiB. */
  readonly memoryOverheadMiB: number
}
