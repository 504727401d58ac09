// The assembled code of payload.S without its trailing zeros. payload.S says how to build it again.
const code = [
  '+vwxwI7YjsCO0LwAfOoSfAAA5JIMAiT+5pK/ABBmMcC5AAxm86vHBgAQAyDHBgAgAzC/ADBmuIMAAAC5AAJmiQVmBQAAIACDxwji8mYPARZwfQ8gwAwBDyLAZupifAAA',
  'GAC4EAAAAI7YjsCO0A8g4A0gAgAADyLguAAQAAAPIti5gAAAwA8yDQABAAAPMA8gwA0AAACADyLA6qB8AAAIAEi9FXxKf7l5N565GAAAAL8AACAASInoSIkHSImHAPAf',
  'AEgB6EiBxwAAIADi6rkYAAAAvwAAIABIiehIOQd1ZUg5hwDwHwB1XEgB6EiBxwAAIADi5scEJQA4AACDACAADwE8JQAAACBIOSwlAAAAIHUzviAAAAC4AQAAgA+iD7ri',
  'HXMh/85172ZID27FZg/UwGZID37ASAHtSDnodQe4KgAAAOsFuBEAAADn9PTr/WaQAAAAAAAAAAAAAAAAAJogAP//AAAAks8A//8AAACazwAfAFB9AAAAAAAAAAAAAAAA',
].join('')

const sectorBytes = 512

/**
 * SeaBIOS reads the boot sector by cylinder, head and sector. A disk smaller than one cylinder (16 heads of 63 sectors) has none, and fails on q35
 * with "could not read the boot disk" under every accelerator.
 */
const diskBytes = 1024 * 1024

/** QEMU's exit code if the code ran to its end and all values that it read back were correct. */
export const probeExitCode = (0x2a << 1) | 1

/** The KVM probe's disk: a raw image with payload.S as its boot sector, followed by zeros. */
export function kvmProbeImage(): Uint8Array {
  const image = new Uint8Array(diskBytes)
  image.set(Buffer.from(code, 'base64'))
  image.set([0x55, 0xaa], sectorBytes - 2)
  return image
}
