import { sleep } from '../src/api/time.ts'
import type { ChildProcess, ChildProcesses } from '../src/ports/child-process.ts'
import type { Clock } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import type { RunnerFiles } from '../src/ports/runner-files.ts'
import { RunnerExit } from './exit-codes.ts'
import { lineSplitter } from './serial-text.ts'

export interface TpmDeps {
  readonly processes: ChildProcesses
  readonly files: Pick<RunnerFiles, 'inode'>
  readonly clock: Clock
  readonly log: Log
  /** swtpm. */
  readonly binary: string
  /** Directory of the TPM's state. */
  readonly state: string
  /** The control socket, which QEMU connects to. */
  readonly socket: string
}

export interface Tpm {
  /** Call when QEMU has ended or did not start. Resolves when swtpm has written its state. */
  end(): Promise<void>
}

const startTimeoutMs = 10_000
const pollMs = 20
/** swtpm ends when QEMU closes the control connection. This limit covers a QEMU that never connected. */
const endTimeoutMs = 2_000
const mostLines = 50

/** Starts the TPM emulator. Resolves when QEMU can connect. Throws RunnerExit `FirmwareFailed`. */
export async function startTpm(deps: TpmDeps): Promise<Tpm> {
  const { clock, files, log, socket } = deps
  const inode = await files.inode(socket)
  const lines = lineSplitter()
  let left = mostLines
  const onOutput = (bytes: Uint8Array): void => {
    for (const line of lines.push(bytes)) if (left-- > 0) log.warn({ stream: 'swtpm', line }, 'swtpm wrote')
  }
  const options = { channels: 0, fds: [], onOutput }
  const child = await deps.processes.spawn(deps.binary, argumentsOf(deps), options).catch((cause: Error) => {
    throw new RunnerExit('FirmwareFailed', cause.message, { cause })
  })
  const ended = child.ended.then((end) => ({ end }))
  for (let waitedMs = 0; ; waitedMs += pollMs) {
    const now = await files.inode(socket)
    if (now !== undefined && now !== inode) break
    const early = await Promise.race([ended, sleep(clock, pollMs).then(() => undefined)])
    if (early === undefined && waitedMs < startTimeoutMs) continue
    child.kill('SIGKILL')
    throw new RunnerExit('FirmwareFailed', `swtpm did not start (${early === undefined ? 'no socket' : JSON.stringify(early.end)})`)
  }
  return { end: () => endOf(child, clock) }
}

/** QEMU tells it to end. `terminate` also ends it with the data connection of a QEMU that was killed. */
function argumentsOf({ state, socket }: TpmDeps): readonly string[] {
  return [
    'socket',
    '--tpm2',
    '--tpmstate',
    `dir=${state}`,
    '--ctrl',
    `type=unixio,path=${socket}`,
    '--seccomp',
    'action=kill',
    '--terminate',
  ]
}

async function endOf(child: ChildProcess, clock: Clock): Promise<void> {
  const cancel = [clock.after(endTimeoutMs, () => child.kill('SIGTERM')), clock.after(2 * endTimeoutMs, () => child.kill('SIGKILL'))]
  await child.ended
  for (const one of cancel) one()
}
