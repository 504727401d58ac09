import type { CpuTopology } from '../../src/api/vcpus.ts'
import type { AcceleratorInUse } from '../../src/api/wire/common.ts'
import type { GrantedNic } from '../lease.ts'
import type { UserNicInput } from './user-nics.ts'

/** All inputs of QEMU's command line. Descriptor numbers are those in the QEMU process. */
export interface QemuInputs {
  readonly uid: string
  readonly vm: string
  readonly machineType: string
  readonly cpu: CpuTopology & { readonly model: string | undefined }
  readonly memoryMiB: number
  readonly accelerator: AcceleratorInUse
  /** `/dev/kvm`, opened by the broker. Set exactly when `accelerator` is `kvm`. */
  readonly kvmFd: number | undefined
  /** In boot order. */
  readonly disks: readonly DiskInput[]
  readonly nics: readonly (NicInput | UserNicInput)[]
  readonly seedPath: string
  /** In boot order. */
  readonly cdroms?: readonly CdromInput[] | undefined
  /** The socket for VNC of a VM with a display. */
  readonly vncSocket?: string | undefined
  readonly watchdog?: 'reset' | 'poweroff' | 'shutdown' | undefined
  /** Undefined for BIOS without TPM and kernel. */
  readonly firmware?: FirmwareInput | undefined
  readonly qmpFd: number
  readonly serialFd: number
  readonly agentFd: number
}

export interface FirmwareInput {
  /** Undefined for BIOS. */
  readonly uefi: { readonly code: string; readonly variables: string; readonly secure: boolean } | undefined
  /** swtpm's control socket. */
  readonly tpmSocket?: string | undefined
  readonly kernel: { readonly image: string; readonly initrd: string | undefined; readonly args: string | undefined } | undefined
}

export interface DiskInput {
  readonly name: string
  readonly path: string
  /** Absent for virtio. */
  readonly bus?: 'virtio' | 'scsi' | undefined
  /** PCI slot, from the VM's identity. */
  readonly slot: number
  readonly readOnly: boolean
  /** Undefined for a disk that the guest does not boot from, unless it is the first one. */
  readonly bootIndex?: number | undefined
}

export interface CdromInput {
  readonly name: string
  /** Among all disks and drives. */
  readonly bootIndex: number
}

export interface NicInput {
  readonly nic: GrantedNic
  /** The TAP or macvtap. */
  readonly fd: number
  /** QEMU only keeps it open. */
  readonly tokenFd?: number | undefined
  /** PCI slot, from `nic-slots.json`. */
  readonly slot: number
}
