import { parseArgs } from 'node:util'
import { inRunner } from '../src/api/layout.ts'
import { RunnerExit } from './exit-codes.ts'

/** Paths and binaries of the runner. In the image every value is the default from src/api/layout.ts. */
export interface RunnerConfig {
  readonly vmDir: string
  readonly brokerSocket: string
  readonly launchConfig: string
  readonly userData: string
  readonly networkData: string
  /** A private tmpfs for the seed. */
  readonly scratch: string
  readonly qemu: string
  readonly genisoimage: string
  readonly qemuImg: string
  readonly swtpm: string
  /** OVMF's code and the template of its variables. */
  readonly ovmf: (secure: boolean) => { readonly code: string; readonly variables: string }
  /** Overrides the machine type of identity.json, for a QEMU that does not support it. This changes the guest's hardware: use it in tests only. */
  readonly machineType: string | undefined
}

/** Throws RunnerExit `BadLaunchConfig` on an unknown option. */
export function runnerConfig(argv: readonly string[]): RunnerConfig {
  const given = parse(argv)
  return {
    vmDir: given['vm-dir'] ?? inRunner.vm,
    brokerSocket: given['broker-socket'] ?? inRunner.brokerSocket,
    launchConfig: given.launch ?? inRunner.launchConfig,
    userData: given.userdata ?? inRunner.userDataSecret,
    networkData: given.networkdata ?? inRunner.networkDataSecret,
    scratch: given.scratch ?? inRunner.scratch,
    qemu: given.qemu ?? '/usr/bin/qemu-system-x86_64',
    genisoimage: given.genisoimage ?? '/usr/bin/genisoimage',
    qemuImg: given['qemu-img'] ?? '/usr/bin/qemu-img',
    swtpm: given.swtpm ?? '/usr/bin/swtpm',
    ovmf: ovmfIn(given.ovmf ?? '/usr/share/OVMF'),
    machineType: given['machine-type'],
  }
}

/** Debian's names. The code for secure boot is the same build that checks signatures, with Microsoft's keys in the variables. */
function ovmfIn(directory: string): RunnerConfig['ovmf'] {
  return (secure) => {
    const suffix = secure ? '_4M.ms.fd' : '_4M.fd'
    return { code: `${directory}/OVMF_CODE${suffix}`, variables: `${directory}/OVMF_VARS${suffix}` }
  }
}

const text = { type: 'string' } as const
const options = {
  'vm-dir': text,
  'broker-socket': text,
  launch: text,
  userdata: text,
  networkdata: text,
  scratch: text,
  qemu: text,
  genisoimage: text,
  'qemu-img': text,
  swtpm: text,
  ovmf: text,
  'machine-type': text,
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: false }).values
  } catch (cause) {
    throw new RunnerExit('BadLaunchConfig', (cause as Error).message, { cause })
  }
}

/** Paths inside the VM's directory at any mount point (layout.ts, inRunner). */
export function vmPaths(vmDir: string) {
  return {
    identity: `${vmDir}/identity.json`,
    nicSlots: `${vmDir}/nic-slots.json`,
    livePart: `${vmDir}/live.json`,
    disc: (sha256: string): string => `${vmDir}/isos/${sha256}`,
    vncSocket: `${vmDir}/run/vnc.sock`,
    bootFiles: `${vmDir}/boot-files.json`,
    image: (sha256: string): string => `${vmDir}/images/${sha256}`,
    firmware: `${vmDir}/firmware`,
    firmwareFile: (name: string): string => `${vmDir}/firmware/${name}`,
    disks: `${vmDir}/disks`,
    disk: (name: string): string => `${vmDir}/disks/${name}.qcow2`,
    controlSocket: `${vmDir}/run/control.sock`,
    serialLog: `${vmDir}/run/serial.log`,
    crashRecord: `${vmDir}/run/crash.json`,
    /** The agent's, absent while the strategy is `Always` (src/api/wire/run-policy.ts). */
    runPolicy: `${vmDir}/run-policy.json`,
    finished: `${vmDir}/run/finished.json`,
    diskMark: `${vmDir}/run/disks.json`,
  }
}
export type VmPaths = ReturnType<typeof vmPaths>
