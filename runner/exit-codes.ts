/**
 * What the runner's exit code says; `docker service ps` shows it. Swarm starts a VM's task again after every end it did not ask for, so
 * only what Swarm should act on ends the process: waiting for the broker, a grant or a predecessor never does.
 *
 * | code | name | meaning | counts as a crash |
 * |---|---|---|---|
 * | 0 | Stopped | asked to stop: the guest powered off in order, or had not been started | no |
 * | 64 | BadLaunchConfig | the launch config or the command line is missing, unreadable or wrong | yes |
 * | 65 | IdentityMismatch | identity.json is missing, unreadable or another VM's: nothing was touched | yes |
 * | 66 | SeedFailed | the user data cannot be read or the seed cannot be made | yes |
 * | 70 | QemuStartFailed | QEMU could not be started or ended before the guest ran | yes |
 * | 71 | QemuCrashed | QEMU ended by itself, or was killed, while the guest ran | yes |
 * | 72 | GuestPanicked | the guest's kernel reported a panic (pvpanic) | yes |
 * | 73 | ControlSocketFailed | the control socket cannot be made in the VM's run directory | yes |
 * | 75 | GuestShutdown | the guest shut itself down; Swarm starts it again | no |
 * | 76 | ForcedOff | asked to stop, and the guest did not power off within its time: it was ended by force | no |
 *
 * 64 to 66, 70, 73 and 75 follow sysexits.h where it has a word for the case.
 */
export const exitCodes = {
  Stopped: 0,
  BadLaunchConfig: 64,
  IdentityMismatch: 65,
  SeedFailed: 66,
  QemuStartFailed: 70,
  QemuCrashed: 71,
  GuestPanicked: 72,
  ControlSocketFailed: 73,
  GuestShutdown: 75,
  ForcedOff: 76,
} as const
export type ExitName = keyof typeof exitCodes

const crashes: ReadonlySet<ExitName> = new Set([
  'BadLaunchConfig',
  'IdentityMismatch',
  'SeedFailed',
  'QemuStartFailed',
  'QemuCrashed',
  'GuestPanicked',
  'ControlSocketFailed',
])

/** Ends that the next runner of this VM waits out (crash-record.ts). */
export function isCrash(name: ExitName): boolean {
  return crashes.has(name)
}

/** An end of the runner with its reason; thrown where nothing but the end can follow. */
export class RunnerExit extends Error {
  override readonly name = 'RunnerExit'
  readonly exit: ExitName

  constructor(exit: ExitName, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exit = exit
  }
}
