import type { QemuInputs } from './inputs.ts'

/**
 * Limit for TCG's translated code. QEMU's default is an eighth of the host's memory, up to 1 GiB. That exceeds the task's memory limit, and the
 * kernel would kill the VM.
 */
const tcgCacheMiB = 128

export function acceleratorArguments(inputs: QemuInputs): string[] {
  switch (inputs.accelerator) {
    case 'kvm':
      // The container cannot open the device node, so an fdset provides it (QEMU 9.0 and later).
      return ['-add-fd', `fd=${inputs.kvmFd},set=7`, '-accel', 'kvm,device=/dev/fdset/7', '-cpu', 'host']
    case 'tcg':
      return ['-accel', `tcg,thread=multi,tb-size=${tcgCacheMiB}`, '-cpu', 'max']
  }
}
