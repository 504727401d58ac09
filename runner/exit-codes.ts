/**
 * Exit codes of the runner, as `docker service ps` shows them. Swarm restarts a task that ends without its request, so the runner exits only
 * when Swarm should act. It does not exit while it waits for the broker, a grant or a previous runner.
 *
 * | code | name | meaning | counts as a crash |
 * |---|---|---|---|
 * | 0 | Stopped | stop requested; the guest powered off, or had not started | no |
 * | 64 | BadLaunchConfig | the launch config or the command line is missing, unreadable or wrong | yes |
 * | 65 | IdentityMismatch | identity.json is missing, unreadable or belongs to another VM; nothing was changed | yes |
 * | 66 | SeedFailed | the user data cannot be read or the seed cannot be created | yes |
 * | 69 | FirmwareFailed | UEFI variables, TPM or kernel are missing or cannot be prepared | yes |
 * | 70 | QemuStartFailed | QEMU could not be started or ended before the guest ran | yes |
 * | 71 | QemuCrashed | QEMU exited or was killed while the guest ran | yes |
 * | 72 | GuestPanicked | the guest's kernel reported a panic (pvpanic) | yes |
 * | 73 | ControlSocketFailed | the control socket cannot be created in the VM's run directory | yes |
 * | 75 | GuestShutdown | the guest shut itself down; Swarm starts it again, or the runner stays (runStrategy) | no |
 * | 76 | ForcedOff | stop requested; the guest did not power off in time and was killed | no |
 *
 * 64 to 66, 69, 70, 73 and 75 follow sysexits.h where it has a matching code.
 */
export const exitCodes = {
  Stopped: 0,
  BadLaunchConfig: 64,
  IdentityMismatch: 65,
  SeedFailed: 66,
  FirmwareFailed: 69,
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
  'FirmwareFailed',
  'QemuStartFailed',
  'QemuCrashed',
  'GuestPanicked',
  'ControlSocketFailed',
])

/** True if the next runner of this VM backs off after this exit (crash-record.ts). A guest that shuts itself down again and again backs off too. */
export function backsOff(name: ExitName): boolean {
  return isCrash(name) || name === 'GuestShutdown'
}

/** True if `restarts` counts this exit. */
export function isCrash(name: ExitName): boolean {
  return crashes.has(name)
}

/** Ends the runner with this exit code and reason. */
export class RunnerExit extends Error {
  override readonly name = 'RunnerExit'
  readonly exit: ExitName

  constructor(exit: ExitName, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exit = exit
  }
}
