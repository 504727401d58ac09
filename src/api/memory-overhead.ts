import type { AcceleratorChoice } from './wire/common.ts'
import { type CpuTopology, vcpusOf } from './vcpus.ts'

/** The parts of a VM that cost memory beyond the guest's. */
export interface MachineShape extends CpuTopology {
  readonly memoryMiB: number
  readonly accelerator: AcceleratorChoice
  readonly diskBytes: readonly number[]
  readonly nics: number
  /** NICs behind NAT among them. */
  readonly userNics?: number
  /** A display with VNC. */
  readonly display?: boolean
  readonly firmware: 'bios' | 'uefi'
  readonly tpm: boolean
  /** `resources.memoryOverhead` of the manifest; undefined for `auto`. */
  readonly memoryOverheadBytes: number | undefined
}

export interface OverheadSettings {
  /** The cluster allows TCG, so `accelerator: auto` can mean it. */
  readonly softwareEmulation: boolean
  /** The least that a VM gets with `auto`. */
  readonly memoryOverheadMiB: number
}

const mebibyte = 1024 ** 2
const gibibyte = 1024 ** 3

/** MiB, with a reserve of about a half over what was measured (ADR 0036, docs/performance.md). */
export const overheadMiB = {
  /** QEMU with one CPU, the runner, init, the seed in the task's tmpfs. */
  base: 64,
  vcpu: 3,
  disk: 6,
  nic: 8,
  /** The relay of the ports of NICs behind NAT: 128 connections with 128 KiB each. Once for a VM. */
  relay: 16,
  /** 16 MiB of video memory, and the buffers of VNC. */
  display: 24,
  /** TCG's translated code: `tb-size` of the runner. */
  tcg: 128,
  /** Code and variables of the firmware, and what it copies. */
  uefi: 32,
  /** swtpm. */
  tpm: 8,
} as const

/** QEMU's cache of qcow2 tables: 1 MiB for 8 GiB of a disk, at most 32 MiB. */
function tablesMiB(diskBytes: number): number {
  return Math.min(32, Math.ceil(diskBytes / (8 * gibibyte)))
}

/** Bytes beyond the guest's memory that the task of a VM may use, and that its node reserves. */
export function memoryOverheadBytes(shape: MachineShape, settings: OverheadSettings): number {
  return shape.memoryOverheadBytes ?? Math.max(settings.memoryOverheadMiB, automaticMiB(shape, settings)) * mebibyte
}

function automaticMiB(shape: MachineShape, { softwareEmulation }: OverheadSettings): number {
  const { accelerator, diskBytes, firmware, nics, tpm } = shape
  const emulated = accelerator === 'tcg' || (accelerator === 'auto' && softwareEmulation)
  const parts = [
    overheadMiB.base,
    overheadMiB.vcpu * vcpusOf(shape),
    ...diskBytes.map((bytes) => overheadMiB.disk + tablesMiB(bytes)),
    overheadMiB.nic * nics,
    (shape.userNics ?? 0) > 0 ? overheadMiB.relay : 0,
    shape.display === true ? overheadMiB.display : 0,
    emulated ? overheadMiB.tcg : 0,
    firmware === 'uefi' ? overheadMiB.uefi : 0,
    tpm ? overheadMiB.tpm : 0,
    // Page tables: 8 bytes for each page of 4 KiB.
    Math.ceil(shape.memoryMiB / 512),
  ]
  return parts.reduce((sum, one) => sum + one, 0)
}
