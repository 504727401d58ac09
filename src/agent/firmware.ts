import type { VmUid } from '../api/names.ts'
import { featuresOf, type NodeFeature } from '../api/node-features.ts'
import type { PrepareOrder } from '../api/wire/agent-api.ts'
import type { Firmware } from '../api/wire/common.ts'
import { StateError } from '../ports/state-files.ts'
import { type BootFilesOptions, keepBootFiles, type Unready } from './boot-files.ts'

export interface FirmwareOptions extends BootFilesOptions {
  /** The agent's image has them. */
  readonly features: readonly string[]
}

export interface FirmwareFiles {
  /** Prepares the firmware of the running configuration. Returns why it is not ready. */
  prepare(order: PrepareOrder): Promise<Unready | undefined>
  /** Prepares the firmware of a pending edit beside it. */
  preparePending(order: PrepareOrder): Promise<Unready | undefined>
}

/**
 * The directory of UEFI variables and TPM state, and the files of a direct kernel boot. The agent creates the directory and its runner the files in
 * it (ADR 0037).
 */
export function firmwareFiles(options: FirmwareOptions): FirmwareFiles {
  const named = ({ firmware, pending }: PrepareOrder): readonly string[] => [...sourcesOf(firmware), ...sourcesOf(pending?.firmware)]
  return {
    prepare: (order) => prepare(options, order.uid, order.firmware, named(order)),
    preparePending: (order) => prepare(options, order.uid, order.pending?.firmware, named(order)),
  }
}

async function prepare(
  options: FirmwareOptions,
  uid: VmUid,
  firmware: Firmware | undefined,
  named: readonly string[],
): Promise<Unready | undefined> {
  if (firmware === undefined) return undefined
  const missing = featuresOf(firmware).filter((feature) => !options.features.includes(feature))
  if (missing.length > 0)
    return failed('FirmwareMissing', `the image of the agent has no ${missing.join(', ')}; update swarmvirt on this node`)
  try {
    if (firmware.mode === 'uefi' || firmware.tpm === true) await options.files.makeDirectory(options.layout.firmware(uid), 0o2770)
    return await keepBootFiles(options, uid, { kernel: firmware.kernel, named })
  } catch (error) {
    if (!(error instanceof StateError)) throw error
    return failed(error.kind === 'NoSpace' ? 'InsufficientDisk' : 'StateRootError', error.message)
  }
}

function sourcesOf(firmware: Firmware | undefined): readonly string[] {
  const { image, initrd } = firmware?.kernel ?? {}
  return [image, initrd].filter((one) => one !== undefined)
}

function failed(reason: string, message: string): Unready {
  return { state: 'failed', reason, message: message.slice(0, 2000) }
}

/** The features of an image with these files. */
export function featuresIn(exists: (path: string) => boolean): readonly NodeFeature[] {
  const has = (...paths: readonly string[]): boolean => paths.every(exists)
  const uefi = has('/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd')
  const secureBoot = has('/usr/share/OVMF/OVMF_CODE_4M.ms.fd', '/usr/share/OVMF/OVMF_VARS_4M.ms.fd')
  const found = { uefi, secureBoot, tpm: has('/usr/bin/swtpm'), kernel: true } satisfies Record<NodeFeature, boolean>
  return (['uefi', 'secureBoot', 'tpm', 'kernel'] as const).filter((feature) => found[feature])
}
