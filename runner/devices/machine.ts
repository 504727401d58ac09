import { vcpusOf } from '../../src/api/vcpus.ts'
import { firmwareMachine } from './firmware.ts'
import type { QemuInputs } from './inputs.ts'

export function machineArguments(inputs: QemuInputs): string[] {
  const { cores, sockets = 1, threads = 1 } = inputs.cpu
  const machine = `type=${inputs.machineType},usb=off,vmport=off,dump-guest-core=off,graphics=${inputs.vncSocket === undefined ? 'off' : 'on'}${firmwareMachine(inputs.firmware)}`
  return [
    ['-name', `guest=${inputs.vm},process=vm-${inputs.vm},debug-threads=on`],
    ['-machine', machine],
    ['-uuid', inputs.uid],
    ['-smp', `cpus=${vcpusOf(inputs.cpu)},sockets=${sockets},cores=${cores},threads=${threads}`],
    ['-m', `size=${inputs.memoryMiB}M`],
    ['-no-user-config'],
    ['-nodefaults'],
    ...(inputs.vncSocket === undefined ? [['-display', 'none']] : []),
    ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ['-rtc', 'base=utc'],
    ['-boot', 'strict=on'],
    // Nothing could wake a suspended guest.
    ['-global', 'ICH9-LPC.disable_s3=1'],
    ['-global', 'ICH9-LPC.disable_s4=1'],
    // The guest waits for `cont`, so that no event is missed. QEMU waits for `quit` after the guest's end, so that the reason can be read.
    ['-S'],
    ['-no-shutdown'],
  ].flat()
}
