import * as z from 'zod/mini'
import { acceleratorChoice, interfaceField, macField, partNameField, textField, uidField, vmNameField } from './common.ts'

/**
 * The launch config: what the runner is to start. It travels as a Swarm config (immutable, in Raft, readable by managers), so it holds no
 * secret; inline userData goes as a Swarm secret beside it. It names no path: the layout is fixed (layout.ts, inRunner).
 */
export const launchVersion = 1

export const launchConfig = z.object({
  version: z.literal(launchVersion),
  uid: uidField,
  vm: vmNameField,
  cores: z.int().check(z.minimum(1)),
  memoryMiB: z.int().check(z.minimum(1)),
  accelerator: acceleratorChoice,
  /** In boot order; the file is `disks/<name>.qcow2`. */
  disks: z.array(z.object({ name: partNameField })).check(z.minLength(1), z.maxLength(16)),
  /** `bridge` is for the controller, which grants by it; release 0.1 wrote none. */
  nics: z.array(z.object({ name: partNameField, mac: macField, bridge: z.optional(interfaceField) })).check(z.maxLength(8)),
  cloudInit: z.object({
    /**
     * cloud-init does its once-per-instance work once for each. It is the uid, so that a re-created VM with its old disk does not start over;
     * `UID-VALUE` where the annotation `swarmvirt.dev/cloud-init-instance` has a value.
     */
    instanceId: textField,
    hostname: z.string().check(z.maxLength(64)),
    sshAuthorizedKeys: z.array(z.string().check(z.maxLength(16_384))).check(z.maxLength(64)),
    /** The secret `userdata` is mounted. */
    hasUserData: z.boolean(),
  }),
  /** Seconds from the power button to the end by force; below the service's stop grace period. */
  powerOffTimeoutS: z.int().check(z.minimum(1)),
})
export type LaunchConfig = z.output<typeof launchConfig>
