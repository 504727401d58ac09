import type { FirmwareInput } from './inputs.ts'

/** Options of `-machine`. QEMU maps `code` and `variables` below 4 GiB. Secure boot protects the variables by SMM: only the firmware can write them. */
export function firmwareMachine(firmware: FirmwareInput | undefined): string {
  if (firmware?.uefi === undefined) return ''
  return `,pflash0=firmware-code,pflash1=firmware-variables${firmware.uefi.secure ? ',smm=on' : ''}`
}

/** A kernel's arguments are one argument of QEMU, which does not split it. */
export function firmwareArguments(firmware: FirmwareInput | undefined): string[] {
  if (firmware === undefined) return []
  return [...uefi(firmware.uefi), ...tpm(firmware.tpmSocket), ...kernel(firmware.kernel)]
}

function uefi(files: FirmwareInput['uefi']): string[] {
  if (files === undefined) return []
  const code = { driver: 'raw', 'node-name': 'firmware-code', 'read-only': true, file: { driver: 'file', filename: files.code } }
  const variables = {
    driver: 'raw',
    'node-name': 'firmware-variables',
    file: { driver: 'file', filename: files.variables, locking: 'on' },
  }
  return [
    ['-blockdev', JSON.stringify(code)],
    ['-blockdev', JSON.stringify(variables)],
    files.secure ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : [],
  ].flat()
}

function tpm(socket: string | undefined): string[] {
  if (socket === undefined) return []
  return [
    ['-chardev', `socket,id=tpm0-control,path=${socket}`],
    ['-tpmdev', 'emulator,id=tpm0,chardev=tpm0-control'],
    ['-device', JSON.stringify({ driver: 'tpm-crb', tpmdev: 'tpm0' })],
  ].flat()
}

function kernel(files: FirmwareInput['kernel']): string[] {
  if (files === undefined) return []
  const initrd = files.initrd === undefined ? [] : ['-initrd', files.initrd]
  return ['-kernel', files.image, ...initrd, ...(files.args === undefined ? [] : ['-append', files.args])]
}
