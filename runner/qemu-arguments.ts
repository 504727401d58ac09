import { acceleratorArguments } from './devices/accelerator.ts'
import { cdromArguments } from './devices/cdroms.ts'
import { channelArguments } from './devices/channels.ts'
import { diskArguments } from './devices/disks.ts'
import { displayArguments } from './devices/display.ts'
import { firmwareArguments } from './devices/firmware.ts'
import { helperArguments } from './devices/helpers.ts'
import type { QemuInputs } from './devices/inputs.ts'
import { machineArguments } from './devices/machine.ts'
import { nicArguments } from './devices/nics.ts'
import { seedArguments } from './devices/seed.ts'

/**
 * Pure. User-provided values are passed as JSON, or match a pattern without commas (`vmNamePattern`, `uidField`), since commas separate QEMU
 * options.
 */
export function qemuArguments(inputs: QemuInputs): string[] {
  return [
    ...machineArguments(inputs),
    ...acceleratorArguments(inputs),
    ...channelArguments(inputs),
    ...firmwareArguments(inputs.firmware),
    ...inputs.disks.flatMap((disk, index) => diskArguments(disk, index)),
    ...(inputs.cdroms ?? []).flatMap(cdromArguments),
    ...inputs.nics.flatMap(nicArguments),
    ...seedArguments(inputs.seedPath),
    ...displayArguments(inputs),
    ...helperArguments(inputs),
  ]
}
