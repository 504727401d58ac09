import { at } from './pci-slots.ts'

/** Small devices that every VM has. */
export function helperArguments(): string[] {
  const devices = [
    { driver: 'virtio-rng-pci', id: 'rng0-device', rng: 'rng0', ...at('rng') },
    // Returns memory that the guest has freed to the host.
    { driver: 'virtio-balloon-pci', id: 'balloon0', 'free-page-reporting': true, ...at('balloon') },
    { driver: 'pvpanic-pci', id: 'pvpanic0', ...at('pvpanic') },
  ]
  return ['-object', '{"qom-type":"rng-builtin","id":"rng0"}', ...devices.flatMap((device) => ['-device', JSON.stringify(device)])]
}
