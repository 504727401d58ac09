/** Cluster-wide settings, from the controller's configuration. */
export interface ClusterSettings {
  /** Part of every MAC; fixed for the life of a cluster. */
  readonly cluster: string
  /** VMs may run under TCG, and a node without usable KVM is still `vm-capable`. */
  readonly softwareEmulation: boolean
  /** The runner's image for services that are created or changed from now on. */
  readonly runnerImage: string
  /** The overlay network that runners join. */
  readonly guestsNetwork: string
  /** The network that the tasks of VMs with a user NIC join too. */
  readonly userNetwork: string
  /** `user` puts every NIC behind NAT, whatever its manifest says. Absent: as the manifests say. */
  readonly networkMode?: 'manifest' | 'user'
  readonly stateRoot: string
  /** The least memory in MiB for QEMU and the runner, beyond the guest's. */
  readonly memoryOverheadMiB: number
}
