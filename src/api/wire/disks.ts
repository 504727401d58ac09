/** `GET /api/v1/disks`: every disk that the agents report. Nothing removes one of them; `state` says what needs it. */
export interface DisksView {
  /** By node, VM and uid. */
  readonly disks: readonly DiskView[]
  /** Host names of nodes that may have more, and did not answer. */
  readonly unasked: readonly UnaskedNode[]
}

export interface DiskView {
  /** Host name. */
  readonly node: string
  /** The directory below `instances/` is called so. */
  readonly uid: string
  /** Null where the directory does not say, or not readably. */
  readonly vm: string | null
  readonly cluster: string | null
  readonly disk: string
  readonly sizeBytes: number
  /** What it takes on the node; less than its size. */
  readonly allocatedBytes: number
  readonly state: DiskState
  /** RFC 3339, of a retained one: when its VM was removed. */
  readonly retainedAt: string | null
}

type DiskState =
  /** A placement record or a service names its uid. */
  | 'InUse'
  /** Its VM was removed, and the disk goes with it. */
  | 'Deleting'
  /** Its VM was removed and a record keeps its name: a manifest of that name gets it back. */
  | 'Retained'
  /** Another cluster's. */
  | 'Foreign'
  /** Nothing in the Swarm names it. */
  | 'Ownerless'

interface UnaskedNode {
  readonly node: string
  readonly message: string
}
