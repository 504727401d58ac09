/**
 * `GET /api/v1/disks`: every disk that the agents report. `state` says what needs it. The controller removes none of them because of this
 * list.
 */
export interface DisksView {
  /** Sorted by node, VM and uid. */
  readonly disks: readonly DiskView[]
  /** Nodes that may have more disks but did not answer. */
  readonly unasked: readonly UnaskedNode[]
}

export interface DiskView {
  /** Host name of the node. */
  readonly node: string
  /** Name of the directory below `instances/`. */
  readonly uid: string
  /** Null if the identity file in the directory is missing or unreadable. */
  readonly vm: string | null
  readonly cluster: string | null
  readonly disk: string
  readonly sizeBytes: number
  /** Space used on the node; less than the size of the disk. */
  readonly allocatedBytes: number
  readonly state: DiskState
  /** RFC 3339. For a retained disk: when its VM was removed. */
  readonly retainedAt: string | null
}

type DiskState =
  /** A placement record or a service has its uid. */
  | 'InUse'
  /** The manifest of its VM no longer names the disk. The VM gets it back with its name. */
  | 'Detached'
  /** Its VM was removed, and the disk is being deleted. */
  | 'Deleting'
  /** Its VM was removed, and the placement record is kept: a manifest with the same name gets the disk back. */
  | 'Retained'
  /** The disk belongs to another cluster. */
  | 'Foreign'
  /** No object in the Swarm has its uid. */
  | 'Ownerless'

interface UnaskedNode {
  readonly node: string
  readonly message: string
}
