import * as z from 'zod/mini'
import { cleanText } from './common.ts'

const guestInterface = z.object({
  name: cleanText(64),
  mac: cleanText(64),
  /** With the prefix length. */
  addresses: z.array(cleanText(80)).check(z.maxLength(8)),
})
export type GuestInterface = z.output<typeof guestInterface>

/** The answers of the agent in the guest (qemu-guest-agent). Everything in them is a claim: nothing is decided by it but the guest's own readiness. */
export const guestAgentStatus = z.object({
  /** It answered the last question. */
  connected: z.boolean(),
  /** Absent until it has answered. */
  version: z.optional(cleanText(64)),
  interfaces: z.optional(z.array(guestInterface).check(z.maxLength(16))),
})
export type GuestAgentStatus = z.output<typeof guestAgentStatus>

/** A program that runs in the guest to find out whether the guest is ready. It gets no input, and its output is not read. */
export const guestCommand = z.array(z.string().check(z.minLength(1), z.maxLength(1_024))).check(z.minLength(1), z.maxLength(32))
