import { closeSync, constants, openSync } from 'node:fs'
import type { DeviceFact } from '../../api/wire/broker-admin.ts'
import { HostError, type DeviceName, type Devices } from '../../ports/host-network.ts'

const paths: Readonly<Record<DeviceName, string>> = { kvm: '/dev/kvm', tun: '/dev/net/tun', vhostNet: '/dev/vhost-net' }

export const hostDevices: Devices = {
  fact: factOf,
  open(device) {
    try {
      return openSync(paths[device], constants.O_RDWR)
    } catch (cause) {
      throw new HostError('DeviceMissing', `${paths[device]} cannot be opened: ${(cause as Error).message}`, { cause })
    }
  },
}

/** Only an open() proves access: a device cgroup may show a node and deny the open(). */
function factOf(device: DeviceName): DeviceFact {
  try {
    closeSync(openSync(paths[device], constants.O_RDWR))
    return { present: true, opens: true, message: `${paths[device]} can be opened` }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT')
      return { present: false, opens: false, message: `${paths[device]} does not exist; start the broker with --device` }
    return { present: true, opens: false, message: `${paths[device]} cannot be opened: ${message}` }
  }
}
