import type { ExitName } from './exit-codes.ts'
import type { PoweredOffBy } from './power-off.ts'
import type { QemuEnd } from './qemu.ts'

/** Whether the guest's end was requested, and how it came. `asked`: before the guest ran. */
export type Request = 'none' | 'asked' | PoweredOffBy

export type Outcome =
  | { readonly kind: 'exit'; readonly exit: ExitName; readonly message: string }
  /** Another QEMU has the disk open. This is not a crash: wait until that QEMU ends. */
  | { readonly kind: 'imageLocked'; readonly message: string }

/** Classifies the end of one QEMU process. Pure. */
export function judgeEnd(end: QemuEnd, request: Request): Outcome {
  if (end.reason === 'guest-panic') return exit('GuestPanicked', 'The guest panicked')
  if (end.reason === 'guest-shutdown') {
    return request === 'none' ? exit('GuestShutdown', 'The guest shut itself down') : exit('Stopped', `The guest powered off${by(request)}`)
  }
  if (request === 'forced') return exit('ForcedOff', 'The guest did not power off in time and was killed')
  if (!end.ran && request === 'asked') return exit('Stopped', 'Stopped before the guest ran')
  if (!end.ran && imageLocked(end.output)) return { kind: 'imageLocked', message: `Another process holds the disk: ${end.output}` }
  const how = end.end.kind === 'exited' ? `exit code ${end.end.code}` : end.end.signal
  const why = [how, end.reason, end.output].filter((part) => part !== undefined && part !== '').join(': ')
  return end.ran ? exit('QemuCrashed', `QEMU ended (${why})`) : exit('QemuStartFailed', `QEMU did not start (${why})`)
}

function by(request: Request): string {
  if (request === 'guestAgent') return ' when its agent was asked'
  return request === 'powerButton' ? ' after the ACPI power button' : ''
}

function exit(name: ExitName, message: string): Outcome {
  return { kind: 'exit', exit: name, message }
}

/** QEMU's message for a lock that it did not get (block/file-posix.c). */
function imageLocked(output: string): boolean {
  return /Failed to get (shared )?"[a-z ]+" lock/.test(output)
}
