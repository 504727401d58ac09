import type { Edit } from './edits.ts'

/** Fields that a running QEMU takes (ADR 0040), unlike those that only the controller uses. */
const liveFields = /^spec\.(memoryTarget|networks\[\d+\]\.state|disks\[\d+\]\.(size|cdrom\.path|limits(\..+)?))$/

/** The edits as a VM has them whose runner reads no live part: it was started by release 0.1. */
export function afterRestart(edits: readonly Edit[]): readonly Edit[] {
  return edits.map((one) => (isTakenByQemu(one) ? { ...one, effect: 'restart' } : one))
}

export function isTakenByQemu({ effect, path }: Edit): boolean {
  return effect === 'live' && liveFields.test(path)
}
