/** The topology of a guest's processors. Absent sockets or threads are 1, as in KubeVirt. */
export interface CpuTopology {
  /** Per socket. */
  readonly cores: number
  readonly sockets?: number | undefined
  /** Per core. */
  readonly threads?: number | undefined
}

/** QEMU's q35 takes more, but guests without x2APIC see no more than 255. */
export const mostVcpus = 256

export function vcpusOf({ cores, sockets = 1, threads = 1 }: CpuTopology): number {
  return cores * sockets * threads
}
