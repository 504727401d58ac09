import { expect, test } from 'vitest'
import { memoryOverheadBytes, type MachineShape, overheadMiB as part } from '../../src/api/memory-overhead.ts'

const gibibyte = 1024 ** 3
const kvmOnly = { softwareEmulation: false, memoryOverheadMiB: 16 }

function shape(changes: Partial<MachineShape> = {}): MachineShape {
  const plain = { cores: 1, memoryMiB: 512, accelerator: 'auto', diskBytes: [8 * gibibyte], nics: 1, firmware: 'bios', tpm: false } as const
  return { ...plain, memoryOverheadBytes: undefined, ...changes }
}

const least = part.base + part.vcpu + part.disk + 1 + part.nic + 1

test.each<[string, Partial<MachineShape>, Partial<typeof kvmOnly>, number]>([
  ['the smallest VM under KVM', {}, {}, least],
  ['each virtual CPU', { cores: 2, sockets: 2, threads: 2 }, {}, least + 7 * part.vcpu],
  ['a disk, with the tables of its size', { diskBytes: [8 * gibibyte, 20 * gibibyte] }, {}, least + part.disk + 3],
  ['the tables of a huge disk, which are limited', { diskBytes: [4096 * gibibyte] }, {}, least + 31],
  ['a NIC', { nics: 3 }, {}, least + 2 * part.nic],
  ['page tables of the guest’s memory', { memoryMiB: 8192 }, {}, least + 15],
  ['UEFI and a TPM', { firmware: 'uefi', tpm: true }, {}, least + part.uefi + part.tpm],
  ['TCG that the manifest requests', { accelerator: 'tcg' }, {}, least + part.tcg],
  ['TCG that the cluster allows', {}, { softwareEmulation: true }, least + part.tcg],
  ['no TCG for accelerator: kvm', { accelerator: 'kvm' }, { softwareEmulation: true }, least],
  ['the least that the cluster sets', {}, { memoryOverheadMiB: 300 }, 300],
  ['the quantity of the manifest instead', { memoryOverheadBytes: 50 * 1024 ** 2 }, { memoryOverheadMiB: 300 }, 50],
])('the overhead counts %s', (_what, changes, settings, wantedMiB) => {
  expect(memoryOverheadBytes(shape(changes), { ...kvmOnly, ...settings })).toBe(wantedMiB * 1024 ** 2)
})
