import type { QemuInputs } from './inputs.ts'
import { at, functionOf } from './pci-slots.ts'

/** Small devices that every VM has, and the watchdog. */
export function helperArguments({ watchdog }: Pick<QemuInputs, 'watchdog'>): string[] {
  const devices = [
    { driver: 'virtio-rng-pci', id: 'rng0-device', rng: 'rng0', multifunction: true, ...at('rng') },
    // Returns memory that the guest has freed to the host.
    { driver: 'virtio-balloon-pci', id: 'balloon0', 'free-page-reporting': true, ...at('balloon') },
    { driver: 'pvpanic-pci', id: 'pvpanic0', ...(watchdog === undefined ? {} : { multifunction: true }), ...at('pvpanic') },
    ...(watchdog === undefined ? [] : [{ driver: 'i6300esb', id: 'watchdog0', ...functionOf('pvpanic', 1) }]),
  ]
  return [
    '-object',
    '{"qom-type":"rng-builtin","id":"rng0"}',
    ...devices.flatMap((device) => ['-device', JSON.stringify(device)]),
    // QEMU itself would end at once for `poweroff`, without flushing the disks. The runner ends it (qemu.ts).
    ...(watchdog === undefined ? [] : ['-action', `watchdog=${watchdog === 'poweroff' ? 'none' : watchdog}`]),
  ]
}
