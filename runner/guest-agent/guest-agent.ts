import type { GuestAgentStatus, GuestInterface } from '../../src/api/wire/guest-agent.ts'
import type { ExecOutcome } from '../../src/api/wire/runner-control.ts'
import { sleep } from '../../src/api/time.ts'
import type { Channel } from '../../src/ports/child-process.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { Log } from '../../src/ports/log.ts'
import { answer, execAnswer, execStatusAnswer, infoAnswer, interfacesOf, refusal } from './answers.ts'
import { jsonLines } from './json-lines.ts'

/** The guest's agent did not answer, or refused. */
class GuestAgentError extends Error {
  override readonly name = 'GuestAgentError'
}

/** A guest under emulation may need a second. */
const answerTimeoutMs = 5_000
const askEveryMs = 10_000
const execPollMs = 100

/** An agent that hangs gets no more than these, because they pile up in front of its port. */
const mostUnanswered = 20

interface Question {
  readonly accepts: (value: unknown) => boolean
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/**
 * The agent in the guest (qemu-ga), over the virtio-serial port `org.qemu.guest_agent.0`. One request at a time, because answers carry no id. The
 * guest is untrusted: each answer is limited in size and time, and nothing here throws because of one.
 */
export class GuestAgent {
  readonly #channel: Channel
  readonly #clock: Clock
  readonly #log: Log
  readonly #lines = jsonLines()
  #asked: Question | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #nextId = 1
  #unanswered = 0
  /** The guest has the port open (QMP's VSERPORT_CHANGE). Bytes for a closed port would pile up. */
  #open: AbortController | undefined
  #connected = false
  #version: string | undefined
  #interfaces: GuestInterface[] | undefined

  constructor(channel: Channel, ports: { readonly clock: Clock; readonly log: Log }) {
    this.#channel = channel
    this.#clock = ports.clock
    this.#log = ports.log
    channel.onData((bytes) => this.#take(bytes))
    channel.onClose(() => this.portChanged(false))
  }

  get status(): GuestAgentStatus {
    return {
      connected: this.#connected,
      ...(this.#version === undefined ? {} : { version: this.#version }),
      ...(this.#interfaces === undefined || !this.#connected ? {} : { interfaces: this.#interfaces }),
    }
  }

  portChanged(isOpen: boolean): void {
    if (isOpen === (this.#open !== undefined)) return
    this.#open?.abort(new GuestAgentError("the guest's agent closed its port"))
    this.#open = undefined
    this.#connected = false
    this.#asked?.reject(new GuestAgentError("the guest's agent closed its port"))
    this.#lines.clear()
    this.#unanswered = 0
    if (!isOpen) return
    this.#open = new AbortController()
    void this.#follow(this.#open.signal)
  }

  /** Asks the guest to power off. The agent does not answer that. False if it does not answer before. */
  async shutDown(): Promise<boolean> {
    try {
      await this.#inTurn(() => this.#sync())
      this.#send('guest-shutdown', { mode: 'powerdown' })
      return true
    } catch (error) {
      return this.#failed(error, false)
    }
  }

  /** Runs a program in the guest and waits for its end. */
  async exec([path = '', ...arg]: readonly string[], timeoutMs: number): Promise<ExecOutcome> {
    const untilMs = this.#clock.elapsed() + timeoutMs
    let pid: number
    try {
      const started = await this.#request('guest-exec', { path, arg, 'capture-output': false })
      pid = execAnswer.parse(started).pid
    } catch (error) {
      if (this.#connected && error instanceof GuestAgentError) return { kind: 'failed', message: error.message }
      return this.#failed(error, { kind: 'noAgent', message: (error as Error).message })
    }
    try {
      while (this.#clock.elapsed() < untilMs) {
        const status = execStatusAnswer.parse(await this.#request('guest-exec-status', { pid }))
        if (status.exited) return { kind: 'exited', code: status.exitcode ?? 128 + (status.signal ?? 0) }
        await sleep(this.#clock, execPollMs)
      }
    } catch (error) {
      return this.#failed(error, { kind: 'failed', message: (error as Error).message })
    }
    return { kind: 'failed', message: `it did not end within ${timeoutMs} ms` }
  }

  async #follow(open: AbortSignal): Promise<void> {
    while (!open.aborted) {
      try {
        const info = infoAnswer.safeParse(await this.#request('guest-info'))
        this.#version = info.data?.version
        this.#interfaces = interfacesOf(await this.#request('guest-network-get-interfaces'))
      } catch (error) {
        this.#failed(error, undefined)
      }
      await sleep(this.#clock, askEveryMs, open).catch(() => undefined)
    }
  }

  /** Throws GuestAgentError. */
  #request(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#inTurn(async () => {
      await this.#sync()
      return this.#ask(command, args)
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  /** Brings both sides to the same point. Answers to requests that were given up on are dropped. */
  async #sync(): Promise<void> {
    const id = this.#nextId++
    await this.#ask('guest-sync-delimited', { id }, (value) => value === id)
    if (!this.#connected) this.#log.info({}, "The guest's agent answers")
    this.#connected = true
  }

  #ask(command: string, args?: Readonly<Record<string, unknown>>, accepts: Question['accepts'] = () => true): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#open === undefined) return reject(new GuestAgentError('no agent runs in the guest'))
      if (this.#unanswered >= mostUnanswered) return reject(new GuestAgentError("the guest's agent hangs"))
      const cancel = this.#clock.after(answerTimeoutMs, () => {
        this.#connected = false
        this.#asked?.reject(new GuestAgentError(`the guest's agent did not answer ${command} within ${answerTimeoutMs} ms`))
      })
      const settle = (): void => {
        cancel()
        this.#asked = undefined
      }
      this.#asked = {
        accepts,
        resolve: (value) => (settle(), resolve(value)),
        reject: (error) => (settle(), reject(error)),
      }
      this.#send(command, args)
    })
  }

  #send(command: string, args?: Readonly<Record<string, unknown>>): void {
    this.#unanswered += 1
    this.#channel.write(Buffer.from(`${JSON.stringify(args ? { execute: command, arguments: args } : { execute: command })}\n`))
  }

  #take(bytes: Uint8Array): void {
    this.#unanswered = 0
    for (const value of this.#lines.push(bytes)) this.#judge(value)
  }

  /** An answer that the question does not accept belongs to a request that was given up on. */
  #judge(value: unknown): void {
    const answered = answer.safeParse(value)
    if (answered.success && this.#asked?.accepts(answered.data.return)) return this.#asked.resolve(answered.data.return)
    const refused = refusal.safeParse(value)
    if (refused.success && this.#asked?.accepts(undefined)) this.#asked.reject(new GuestAgentError(refused.data.error.desc.slice(0, 500)))
  }

  /** A guest's bad answer is no error of the runner. */
  #failed<T>(error: unknown, instead: T): T {
    this.#log.debug({ why: (error as Error).message }, "The guest's agent did not answer as expected")
    return instead
  }
}
