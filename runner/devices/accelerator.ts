import { overheadMiB } from '../../src/api/memory-overhead.ts'
import type { QemuInputs } from './inputs.ts'

/**
 * TCG's translated code has a limit: QEMU's default is an eighth of the host's memory, up to 1 GiB. That exceeds the task's memory limit, and
 * the kernel would kill the VM.
 */
export function acceleratorArguments(inputs: QemuInputs): string[] {
  const { model } = inputs.cpu
  switch (inputs.accelerator) {
    case 'kvm':
      // The container cannot open the device node, so an fdset provides it (QEMU 9.0 and later).
      return ['-add-fd', `fd=${inputs.kvmFd},set=7`, '-accel', 'kvm,device=/dev/fdset/7', '-cpu', model ?? 'host']
    case 'tcg':
      // QEMU refuses `host` here. Both names mean all that the accelerator offers.
      return ['-accel', `tcg,thread=multi,tb-size=${overheadMiB.tcg}`, '-cpu', model === undefined || model === 'host' ? 'max' : model]
  }
}
