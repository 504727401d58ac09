import type { QemuInputs } from './inputs.ts'
import { functionOf } from './pci-slots.ts'

/** The guest opens its agent's port by this name. */
const guestAgentPort = 'org.qemu.guest_agent.0'
/** In QMP's VSERPORT_CHANGE. */
export const guestAgentId = 'agent0-port'

/** QMP, the first serial port and the agent's port use descriptors whose other end is the runner, so no other process can open them by path. */
export function channelArguments(inputs: QemuInputs): string[] {
  return [
    ['-chardev', `socket,id=qmp,fd=${inputs.qmpFd}`],
    ['-mon', 'chardev=qmp,mode=control'],
    ['-chardev', `socket,id=serial0,fd=${inputs.serialFd}`],
    ['-device', JSON.stringify({ driver: 'isa-serial', id: 'serial0-port', chardev: 'serial0' })],
    ['-chardev', `socket,id=agent0,fd=${inputs.agentFd}`],
    ['-device', JSON.stringify({ driver: 'virtio-serial-pci', id: 'virtio-serial0', ...functionOf('rng', 1) })],
    ['-device', JSON.stringify({ driver: 'virtserialport', id: guestAgentId, chardev: 'agent0', name: guestAgentPort })],
  ].flat()
}
