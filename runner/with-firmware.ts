import type { Firmware } from '../src/api/wire/common.ts'
import type { ChildProcesses } from '../src/ports/child-process.ts'
import type { Clock } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import type { RunnerFiles } from '../src/ports/runner-files.ts'
import type { RunnerConfig, VmPaths } from './config.ts'
import type { FirmwareInput } from './devices/inputs.ts'
import { prepareFirmware } from './firmware.ts'
import { startTpm } from './tpm.ts'

interface Parts {
  readonly config: Pick<RunnerConfig, 'ovmf' | 'swtpm' | 'scratch'>
  readonly files: RunnerFiles
  readonly processes: ChildProcesses
  readonly clock: Clock
  readonly log: Log
}

/** Prepares the firmware of a VM, and runs its TPM as long as `run` needs it. Throws RunnerExit `FirmwareFailed`. */
export async function withFirmware<T>(
  parts: Parts,
  paths: VmPaths,
  firmware: Firmware | undefined,
  run: (prepared: FirmwareInput | undefined) => Promise<T>,
): Promise<T> {
  const prepared = await prepareFirmware({ ...parts, paths }, firmware)
  if (prepared === undefined || firmware?.tpm !== true) return run(prepared)
  const { scratch, swtpm } = parts.config
  const tpmSocket = `${scratch}/tpm.sock`
  const tpm = await startTpm({ ...parts, binary: swtpm, state: paths.firmware, socket: tpmSocket })
  try {
    return await run({ ...prepared, tpmSocket })
  } finally {
    await tpm.end()
  }
}
