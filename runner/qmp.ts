import * as z from 'zod/mini'
import type { Channel } from '../src/ports/child-process.ts'
import type { Clock } from '../src/ports/clock.ts'

/** QEMU rejected the command, did not answer in time, or closed the connection. */
export class QmpError extends Error {
  override readonly name = 'QmpError'
}

const greeting = z.object({
  QMP: z.object({ version: z.object({ qemu: z.object({ major: z.int(), minor: z.int(), micro: z.int() }) }) }),
})
const event = z.object({ event: z.string(), data: z.optional(z.record(z.string(), z.unknown())) })
const reply = z.object({ id: z.int(), return: z.unknown() })
const refusal = z.object({ id: z.optional(z.int()), error: z.object({ class: z.string(), desc: z.string() }) })

export type QmpEvent = z.output<typeof event>

/** Maximum length of one line from QEMU. A longer one means a broken peer. */
const maxLineBytes = 1024 * 1024
/** Even a loaded host under TCG answers in milliseconds. This limit only covers a hang. */
const defaultTimeoutMs = 30_000

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly cancelTimeout: () => void
}

/**
 * QEMU Machine Protocol (docs/interop/qmp-spec): one JSON object per line in both directions. Answers carry our `id` and arrive in any order. Events
 * arrive at any time.
 */
export class Qmp {
  readonly #channel: Channel
  readonly #clock: Clock
  readonly #pending = new Map<number, Pending>()
  readonly #onEvent: (event: QmpEvent) => void
  readonly #greeted: Promise<string>
  #resolveGreeted: (version: string) => void = () => undefined
  #rejectGreeted: (error: Error) => void = () => undefined
  #held = Buffer.alloc(0)
  #isTooLong = false
  #nextId = 1
  #ended: QmpError | undefined

  constructor(channel: Channel, clock: Clock, onEvent: (event: QmpEvent) => void) {
    this.#channel = channel
    this.#clock = clock
    this.#onEvent = onEvent
    this.#greeted = new Promise((resolve, reject) => {
      this.#resolveGreeted = resolve
      this.#rejectGreeted = reject
    })
    // If the caller did not wait for the greeting, the next command fails with the same error.
    this.#greeted.catch(() => undefined)
    channel.onData((bytes) => this.#take(bytes))
    channel.onClose(() => this.#end(new QmpError('QEMU closed its monitor')))
  }

  /** Waits for the greeting and ends capability negotiation. Resolves with QEMU's version. Throws QmpError. */
  async start(timeoutMs = defaultTimeoutMs): Promise<string> {
    const cancel = this.#clock.after(timeoutMs, () => this.#end(new QmpError(`QEMU sent no greeting within ${timeoutMs} ms`)))
    try {
      const version = await this.#greeted
      await this.execute('qmp_capabilities')
      return version
    } finally {
      cancel()
    }
  }

  /** Resolves with QEMU's return value. Throws QmpError. */
  execute(command: string, args?: Readonly<Record<string, unknown>>, timeoutMs = defaultTimeoutMs): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended)
      const id = this.#nextId++
      const cancelTimeout = this.#clock.after(timeoutMs, () => {
        this.#pending.delete(id)
        reject(new QmpError(`QEMU did not answer ${command} within ${timeoutMs} ms`))
      })
      this.#pending.set(id, { resolve, reject, cancelTimeout })
      this.#channel.write(Buffer.from(`${JSON.stringify(args ? { execute: command, arguments: args, id } : { execute: command, id })}\n`))
    })
  }

  #take(bytes: Uint8Array): void {
    if (this.#ended) return
    const all = Buffer.concat([this.#held, this.#withoutLongLine(bytes)])
    const end = all.lastIndexOf(0x0a)
    this.#held = all.subarray(end + 1)
    if (this.#held.length > maxLineBytes) {
      this.#held = Buffer.alloc(0)
      this.#isTooLong = true
    }
    if (end === -1) return
    for (const line of all.toString('utf8', 0, end).split('\n')) if (line.trim() !== '') this.#line(line)
  }

  /** Drops the rest of a line that was too long. Its command times out, and QEMU stays under control. */
  #withoutLongLine(bytes: Uint8Array): Uint8Array {
    if (!this.#isTooLong) return bytes
    const end = bytes.indexOf(0x0a)
    this.#isTooLong = end === -1
    return bytes.subarray(end === -1 ? bytes.length : end + 1)
  }

  #line(line: string): void {
    const message = parseLine(line)
    switch (message?.kind) {
      case 'greeting':
        return this.#resolveGreeted(message.version)
      case 'event':
        return this.#onEvent(message.event)
      case 'reply':
        return this.#settle(message.id)?.resolve(message.value)
      case 'refusal':
        return this.#settle(message.id)?.reject(new QmpError(message.reason))
      case undefined:
        // A newer QEMU may send message types that this release does not support.
        return undefined
    }
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    pending?.cancelTimeout()
    return pending
  }

  #end(error: QmpError): void {
    if (this.#ended) return
    this.#ended = error
    this.#rejectGreeted(error)
    for (const id of this.#pending.keys()) this.#settle(id)?.reject(error)
  }
}

type Message =
  | { readonly kind: 'greeting'; readonly version: string }
  | { readonly kind: 'event'; readonly event: QmpEvent }
  | { readonly kind: 'reply'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'refusal'; readonly id: number; readonly reason: string }

function parseLine(line: string): Message | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  const happened = event.safeParse(value)
  if (happened.success) return { kind: 'event', event: happened.data }
  const refused = refusal.safeParse(value)
  if (refused.success)
    return { kind: 'refusal', id: refused.data.id ?? -1, reason: `${refused.data.error.class}: ${refused.data.error.desc}` }
  const replied = reply.safeParse(value)
  if (replied.success) return { kind: 'reply', id: replied.data.id, value: replied.data.return }
  const greeted = greeting.safeParse(value)
  if (!greeted.success) return undefined
  const { major, minor, micro } = greeted.data.QMP.version.qemu
  return { kind: 'greeting', version: `${major}.${minor}.${micro}` }
}
