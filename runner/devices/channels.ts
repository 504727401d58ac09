import type { QemuInputs } from './inputs.ts'

/** QMP and the first serial port use descriptors whose other end is the runner, so no other process can open them by path. */
export function channelArguments(inputs: QemuInputs): string[] {
  return [
    ['-chardev', `socket,id=qmp,fd=${inputs.qmpFd}`],
    ['-mon', 'chardev=qmp,mode=control'],
    ['-chardev', `socket,id=serial0,fd=${inputs.serialFd}`],
    ['-device', JSON.stringify({ driver: 'isa-serial', id: 'serial0-port', chardev: 'serial0' })],
  ].flat()
}
