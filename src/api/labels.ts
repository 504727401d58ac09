/**
 * Every label swarmvirt writes on a Swarm object or a node. They outlive a release: a name here is never reused with another meaning.
 * Dotted, since a key with a `/` is refused in a placement constraint.
 */
export const managedBy = 'swarmvirt'

/** On services, configs and secrets. */
export const objectLabels = {
  /** `swarmvirt`; an object without it is never touched. */
  managedBy: 'swarmvirt.managed-by',
  /** Version of the meaning of all labels below; `1`. */
  schema: 'swarmvirt.schema',
  /** `vm`, `launch`, `userdata`, `placement`, `lease`, `controller`, `agent`. */
  component: 'swarmvirt.component',
  cluster: 'swarmvirt.cluster',
  vm: 'swarmvirt.vm',
  uid: 'swarmvirt.uid',
  /** Swarm node ID a VM is placed on (placement record, and the service for people to read). */
  node: 'swarmvirt.node',
  /** On a service whose launch config is of release 0.1 and names no bridge: the bridge of its NICs, which an old constraint named. */
  bridge: 'swarmvirt.bridge',
  /** Hash of the user's spec that was last applied. */
  generation: 'swarmvirt.generation',
  /** Hash of the inputs the running template was rendered from. */
  appliedHash: 'swarmvirt.hash.applied',
  /** Hash of the inputs in the current manifest; differs from applied while a restart is pending. */
  desiredHash: 'swarmvirt.hash.desired',
  /** Hash of the normalised template as it was written; an actual template with another hash was changed by somebody else. */
  templateHash: 'swarmvirt.hash.template',
  /** Hash of a changed template that was restored. */
  driftHash: 'swarmvirt.hash.drift',
  /**
   * Version of the service before our restoring update, so that each update has a different one. If the previous spec has another value, the
   * last update is ours: a template that differs from what we wrote was normalized by Docker, and is adopted.
   */
  driftVersion: 'swarmvirt.drift.version',
  /** Version of how the hashes are computed; an upgrade that changes it relabels and restarts nothing. */
  hashVersion: 'swarmvirt.hash.version',
  /** ForceUpdate counter as we last wrote or adopted it; a higher one means a person restarted the VM. */
  forceUpdate: 'swarmvirt.force-update',
  /**
   * On the placement record: the manifest source that owns the VM, `directory` or `configs`. Documents of other sources are ignored. Without
   * the label the owner is unknown.
   */
  source: 'swarmvirt.source',
  /** On the placement record: `true` once the VM's disks exist, so that an empty disk is never made again. */
  disksMade: 'swarmvirt.disks-made',
  /** On the placement record: comma-separated names of the existing disks, in boot order. A VM starts with these, also if its manifest differs. */
  disks: 'swarmvirt.disks',
  /** On the placement record: mark of the accelerator and networks of a pending edit once the node accepted them, or `refused` and the mark. */
  prepared: 'swarmvirt.prepared',
  /** On the lease (ADR 0025): id of the controller that may stop and restart guests; without it nobody holds the lease. */
  leaseHolder: 'swarmvirt.lease.holder',
  /** On the lease: RFC 3339 time at which the holder took it, or answered last. For people, and to make each answer another one. */
  leaseRenewedAt: 'swarmvirt.lease.renewed-at',
  /** On the lease: id of the controller that asks whether the holder is alive; the holder's answer removes it. */
  leaseWaiting: 'swarmvirt.lease.waiting',
  /** On the lease: RFC 3339 time of that request, which is repeated until it is answered. */
  leaseAskedAt: 'swarmvirt.lease.asked-at',
  /** On the secret that holds the API's certificate: its SHA-256 as `AA:BB:…`, which `docker vm login` pins. */
  fingerprint: 'swarmvirt.fingerprint',
  /** On the placement record: RFC 3339 time at which the VM was removed and its disks kept. */
  retainedAt: 'swarmvirt.retained-at',
  /** On the placement record: `Delete` while the manifest says so; without it the disks of a removed VM are kept. */
  deletionPolicy: 'swarmvirt.deletion-policy',
  /** On the placement record: RFC 3339 time at which the VM was removed and the deletion of its disks began, from which there is no way back. */
  deletingAt: 'swarmvirt.deleting-at',
  /** On the placement record: no changes are made for the VM. `true` after `docker vm suspend`, `manifest` if its manifest suspends it. */
  suspended: 'swarmvirt.suspended',
} as const

export const suspendedBy = { command: 'true', manifest: 'manifest' } as const

/**
 * On Swarm configs that hold manifests (ADR 0014). Only `manifest` is needed, and anybody may write it, such as a stack file; the others are
 * what `docker vm apply` adds. They never carry `swarmvirt.managed-by`: what an operator declares is the operator's.
 */
export const manifestLabels = {
  /** `true`. */
  manifest: 'swarmvirt.manifest',
  /** `docker-vm`: made by `docker vm apply`; such a config may be collected once it is superseded. */
  appliedBy: 'swarmvirt.applied-by',
  /** The name given with `--source`, which `--prune` uses. */
  appliedSource: 'swarmvirt.applied-source',
  /** Name of the one VM or class that the config holds. */
  appliedName: 'swarmvirt.applied-name',
} as const
export const appliedByCli = 'docker-vm'

/** On Swarm nodes. `vm-capable` has no prefix: it is what operators' own constraints already use. */
export const nodeLabels = {
  vmCapable: 'vm-capable',
  accel: 'swarmvirt.accel',
  bridge: (bridge: string): string => `swarmvirt.bridge.${bridge}`,
  /** `true` once an agent ever answered there: the node may hold disks. swarmvirt never removes it; an operator removes it once the node's disks are lost. */
  holdsState: 'swarmvirt.state',
  /** `swarmvirt.vm.<name>=<uid>` of each VM: earlier releases placed by it (ADR 0026). Only removed. */
  formerVmPrefix: 'swarmvirt.vm.',
  bridgePrefix: 'swarmvirt.bridge.',
} as const

export const labelSchemaVersion = '1'
export const hashVersion = '1'
