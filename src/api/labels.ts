/**
 * Every label that swarmvirt writes on a Swarm object or a node. They outlive a release, so a name is never reused with another meaning.
 * Names contain dots and no `/`, which Swarm rejects in a placement constraint.
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
  /** Swarm node ID that a VM is placed on (on the placement record, and on the service for people to read). */
  node: 'swarmvirt.node',
  /** On a service whose launch config is of release 0.1 and has no bridge: the bridge of its NICs, taken from a former constraint. */
  bridge: 'swarmvirt.bridge',
  /** Hash of the user's spec that was last applied. */
  generation: 'swarmvirt.generation',
  /** Hash of the inputs that the running template was rendered from. */
  appliedHash: 'swarmvirt.hash.applied',
  /** Hash of the inputs in the current manifest. It differs from the applied hash while a restart is pending. */
  desiredHash: 'swarmvirt.hash.desired',
  /** Hash of the normalized template as it was written. An actual template with another hash was changed from outside. */
  templateHash: 'swarmvirt.hash.template',
  /** Hash of a changed template that was restored. */
  driftHash: 'swarmvirt.hash.drift',
  /**
   * Version of the service before our restoring update, so that each update has a different one. If the previous spec has another value, the
   * last update is ours: a template that differs from what we wrote was normalized by Docker, and is adopted.
   */
  driftVersion: 'swarmvirt.drift.version',
  /** Version of how the hashes are computed. An upgrade that changes it updates labels and restarts nothing. */
  hashVersion: 'swarmvirt.hash.version',
  /** ForceUpdate counter that swarmvirt last wrote or adopted. A higher one means that a user restarted the VM. */
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
  /** On the placement record: comma-separated disks that are larger than they were created, as `NAME=CREATED-SIZE` in bytes. */
  grown: 'swarmvirt.grown',
  /** On the placement record: comma-separated networks that are behind NAT because no node has their bridge (`fallback: user`). */
  fallback: 'swarmvirt.fallback',
  /** On the placement record: the port of the node that leads to the guest's SSH server, for a network with `ssh: auto`. */
  sshPort: 'swarmvirt.ssh-port',
  /** On the placement record: mark of the accelerator and networks of a pending edit once the node accepted them, or `refused` and the mark. */
  prepared: 'swarmvirt.prepared',
  /** On the lease (ADR 0025): id of the controller that may stop and restart guests. Without it nobody holds the lease. */
  leaseHolder: 'swarmvirt.lease.holder',
  /** On the lease: RFC 3339 time at which the holder took it, or last answered. It is for people, and makes each answer different. */
  leaseRenewedAt: 'swarmvirt.lease.renewed-at',
  /** On the lease: id of the controller that asks whether the holder is alive; the holder's answer removes it. */
  leaseWaiting: 'swarmvirt.lease.waiting',
  /** On the lease: RFC 3339 time of that request, which is repeated until the holder answers. */
  leaseAskedAt: 'swarmvirt.lease.asked-at',
  /** On the secret that holds the API's certificate: its SHA-256 as `AA:BB:…`, which `docker vm login` pins. */
  fingerprint: 'swarmvirt.fingerprint',
  /** On the placement record: RFC 3339 time at which the VM was removed and its disks kept. */
  retainedAt: 'swarmvirt.retained-at',
  /** On the placement record: `Delete` while the manifest requests it. Without it the disks of a removed VM are kept. */
  deletionPolicy: 'swarmvirt.deletion-policy',
  /** On the placement record: RFC 3339 time at which the VM was removed and the deletion of its disks began. This cannot be undone. */
  deletingAt: 'swarmvirt.deleting-at',
  /** On the placement record, and a copy on the service: the last `docker vm start` or `stop`: the name of a run, or `off`. */
  run: 'swarmvirt.run',
  /** On the placement record, and a copy on the service: `Succeeded` or `Failed`, and the run that ended. The runner's file beside the disks decides. */
  finished: 'swarmvirt.finished',
  /** On the placement record: the run policy that the node has (wire/run-policy.ts). */
  runPolicy: 'swarmvirt.run-policy',
  /** On the placement record: no changes are made for the VM. `true` after `docker vm suspend`, `manifest` if its manifest suspends it. */
  suspended: 'swarmvirt.suspended',
} as const

export const suspendedBy = { command: 'true', manifest: 'manifest' } as const

/**
 * On Swarm configs that contain manifests (ADR 0014). Only `manifest` is required, and a user can set it, for example in a stack file.
 * `docker vm apply` adds the others. These configs never carry `swarmvirt.managed-by`, because they belong to the user.
 */
export const manifestLabels = {
  /** `true`. */
  manifest: 'swarmvirt.manifest',
  /** `docker-vm`: created by `docker vm apply`. Such a config may be garbage-collected once it is superseded. */
  appliedBy: 'swarmvirt.applied-by',
  /** The name given with `--source`, which `--prune` uses. */
  appliedSource: 'swarmvirt.applied-source',
  /** Name of the one VM or class that the config holds. */
  appliedName: 'swarmvirt.applied-name',
} as const
export const appliedByCli = 'docker-vm'

/** On Swarm nodes. `vm-capable` has no prefix, because operators already use it in their own constraints. */
export const nodeLabels = {
  vmCapable: 'vm-capable',
  accel: 'swarmvirt.accel',
  bridge: (bridge: string): string => `swarmvirt.bridge.${bridge}`,
  /** The broker allows direct NICs on this device, and it is up. */
  device: (device: string): string => `swarmvirt.device.${device}`,
  /**
   * `true` once an agent answered on the node, so the node may have disks. swarmvirt never removes it. An operator removes it once the
   * disks of the node are lost.
   */
  holdsState: 'swarmvirt.state',
  /** `swarmvirt.vm.<name>=<uid>` of each VM. Earlier releases used it for placement (ADR 0026). It is only removed. */
  formerVmPrefix: 'swarmvirt.vm.',
  bridgePrefix: 'swarmvirt.bridge.',
  devicePrefix: 'swarmvirt.device.',
} as const

export const labelSchemaVersion = '1'
export const hashVersion = '1'
