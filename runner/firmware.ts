import * as z from 'zod/mini'
import type { BootFile } from '../src/api/wire/boot-files.ts'
import { bootFilesFile } from '../src/api/wire/boot-files.ts'
import type { Firmware } from '../src/api/wire/common.ts'
import type { RunnerFiles } from '../src/ports/runner-files.ts'
import type { RunnerConfig, VmPaths } from './config.ts'
import type { FirmwareInput } from './devices/inputs.ts'
import { RunnerExit } from './exit-codes.ts'

export interface FirmwareParts {
  readonly files: Pick<RunnerFiles, 'readText' | 'replaceText' | 'inode' | 'copyOnce'>
  readonly config: Pick<RunnerConfig, 'ovmf'>
  readonly paths: VmPaths
}

/** Names of files in the VM's `firmware` directory that hold a state of the guest. */
const variables = 'variables.fd'
const secureVariables = 'variables-secure.fd'
/** swtpm's own name for the state of a TPM 2.0. */
const tpmState = 'tpm2-00.permall'

/** `firmware/state.json`: the files that exist. A missing one is then never replaced by an empty one. */
const stateFile = z.object({ version: z.literal(1), files: z.array(z.string().check(z.maxLength(64))).check(z.maxLength(8)) })

/**
 * Creates the UEFI variables at the first start with UEFI. Secure boot has its own, with Microsoft's keys: those of a guest that started without it
 * would enforce nothing. Throws RunnerExit `FirmwareFailed`.
 */
export async function prepareFirmware(parts: FirmwareParts, firmware: Firmware | undefined): Promise<FirmwareInput | undefined> {
  if (firmware === undefined) return undefined
  const { paths, config } = parts
  const secure = firmware.secureBoot === true
  const name = secure ? secureVariables : variables
  const wanted = [firmware.mode === 'uefi' && name, firmware.tpm === true && tpmState].filter((one) => one !== false)
  try {
    const recorded = wanted.length === 0 ? [] : await recordedFiles(parts)
    const missing = await whichAreMissing(parts, wanted)
    const lost = missing.find((one) => recorded.includes(one))
    if (lost !== undefined) throw new RunnerExit('FirmwareFailed', lostMessage(paths, lost))
    if (missing.includes(name)) await parts.files.copyOnce(config.ovmf(secure).variables, paths.firmwareFile(name))
    // swtpm creates its file when QEMU starts it, so the next start of the VM records it.
    const present = wanted.filter((one) => one !== tpmState || !missing.includes(one))
    await record(parts, recorded, present)
  } catch (cause) {
    if (cause instanceof RunnerExit) throw cause
    throw new RunnerExit('FirmwareFailed', `cannot prepare the firmware in ${paths.firmware}: ${(cause as Error).message}`, { cause })
  }
  return {
    uefi: firmware.mode === 'uefi' ? { code: config.ovmf(secure).code, variables: paths.firmwareFile(name), secure } : undefined,
    kernel: firmware.kernel && (await kernelOf(parts, firmware.kernel)),
  }
}

function lostMessage(paths: VmPaths, name: string): string {
  const what = name === tpmState ? 'the state of the TPM' : 'the UEFI variables'
  return `${paths.firmwareFile(name)} is missing, but ${what} existed before. An empty one would lock the guest out. Restore the file, or remove its name from state.json beside it`
}

async function recordedFiles({ files, paths }: FirmwareParts): Promise<readonly string[]> {
  const path = paths.firmwareFile('state.json')
  if ((await files.inode(path)) === undefined) return []
  return stateFile.parse(JSON.parse(await files.readText(path))).files
}

async function whichAreMissing({ files, paths }: FirmwareParts, names: readonly string[]): Promise<readonly string[]> {
  const missing: string[] = []
  for (const name of names) if ((await files.inode(paths.firmwareFile(name))) === undefined) missing.push(name)
  return missing
}

async function record({ files, paths }: FirmwareParts, recorded: readonly string[], present: readonly string[]): Promise<void> {
  const all = [...new Set([...recorded, ...present])]
  if (all.length === recorded.length) return
  await files.replaceText(paths.firmwareFile('state.json'), `${JSON.stringify({ version: 1, files: all })}\n`)
}

async function kernelOf({ files, paths }: FirmwareParts, kernel: NonNullable<Firmware['kernel']>): Promise<FirmwareInput['kernel']> {
  const recorded = await bootFiles(files, paths.bootFiles)
  const pathOf = (source: string): string => {
    const found = recorded.find((one) => one.source === source)
    if (found === undefined) throw new RunnerExit('FirmwareFailed', `${paths.bootFiles} does not name ${source}; the agent prepares it`)
    return paths.image(found.sha256)
  }
  return { image: pathOf(kernel.image), initrd: kernel.initrd === undefined ? undefined : pathOf(kernel.initrd), args: kernel.args }
}

async function bootFiles(files: FirmwareParts['files'], path: string): Promise<readonly BootFile[]> {
  try {
    return bootFilesFile.parse(JSON.parse(await files.readText(path))).files
  } catch (cause) {
    throw new RunnerExit('FirmwareFailed', `${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
}
